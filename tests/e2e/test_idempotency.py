"""Idempotency-Key: a POST that comes again makes nothing again, whatever happened in between. And entity tags."""
import concurrent.futures
import itertools
import sqlite3
import time

import pytest

_names = itertools.count()


def fresh(prefix="once"):
    return f"{prefix}-{next(_names)}-{time.time_ns() % 10**9}"


@pytest.fixture(scope="module")
def g(api_server):
    return api_server


def post(api, path, body, key):
    return api.request("POST", path, body, {"Idempotency-Key": key})


def same(first, again):
    """again is what first was, and says that it is a repeat."""
    assert "Idempotency-Replayed" not in first.headers and again.headers["Idempotency-Replayed"] == "true", again
    assert (again.status, again.body) == (first.status, first.body)
    for name in ("Location", "ETag", "Content-Type"):
        assert again.headers[name] == first.headers[name]


def users_called(api, name):
    return [u for u in api.all("/v1/users") if u["name"] == name]


def posts(api):
    """One POST of every kind that makes something: {name: (path, body)}"""
    user = api.post("/v1/users", {"name": fresh()})
    device = api.post("/v1/devices", {"user_id": user["id"], "name": "d"})
    return {"user": ("/v1/users", {"name": fresh(), "password": "a secret passphrase"}),
            "device": ("/v1/devices", {"user_id": user["id"], "name": "e"}),
            "credential": (f"/v1/devices/{device['id']}/credentials", {"protocol": "wireguard"}),
            "openvpn": (f"/v1/devices/{device['id']}/credentials", {"protocol": "openvpn"}),
            "invite": (f"/v1/devices/{device['id']}/invites", {"protocol": "wireguard"}),
            "token": ("/v1/tokens", {"name": "t"})}


def test_every_post_is_answered_as_before(g):
    for name, (path, body) in posts(g.api).items():
        key = fresh(name)
        first = post(g.api, path, body, key)
        assert first.status == 201 and first.headers["Location"], first
        for _ in range(2):
            same(first, post(g.api, path, body, key))
        # Each time that a secret went out is in the audit log, and nothing else is.
        action = {"openvpn": "credential.issue", "credential": "credential.issue", "invite": "invite.create",
                  "token": "token.create"}.get(name)
        rows = g.api.get(f"/v1/audit?object={first.json['id']}")["items"]
        if action:
            assert [r["action"] for r in rows] == [action] * 3
            assert all("repeated" in r["detail"] for r in rows[:2]) and "repeated" not in rows[2]["detail"]
            assert all(r["actor"] == rows[2]["actor"] and r["outcome"] == "ok" for r in rows)
        else:
            assert len(rows) == 1
    assert g.api.get("/v1/audit/verify")["ok"]


def test_a_repeated_second_factor_is_on_record(g):
    name, password, key = fresh(), "correct horse battery", fresh()
    user = g.api.post("/v1/users", {"name": name, "password": password})
    me = g.anonymous.login(name, password)
    first = post(me, "/v1/me/totp", {"password": password}, key)
    assert first.status == 200 and first.json["secret"]
    same(first, post(me, "/v1/me/totp", {"password": password}, key))
    rows = g.api.get(f"/v1/audit?object={user['id']}&action=totp.begin")["items"]
    assert len(rows) == 2 and "repeated" in rows[0]["detail"]


def test_another_request_with_the_key(g):
    key, name = fresh(), fresh()
    first = post(g.api, "/v1/users", {"name": name}, key)
    for path, body in (("/v1/users", {"name": fresh()}), ("/v1/tokens", {"name": name})):
        a = post(g.api, path, body, key)
        assert a.status == 422 and a.json["errors"][0]["field"] == "Idempotency-Key", a
    same(first, post(g.api, "/v1/users", {"name": name}, key))
    # The key is this user's own.
    g.api.post("/v1/users", {"name": (other := fresh()), "role": "operator", "password": "correct horse battery"})
    a = post(g.anonymous.login(other, "correct horse battery"), "/v1/users", {"name": fresh()}, key)
    assert a.status == 201 and "Idempotency-Replayed" not in a.headers
    for bad in ("", "k" * 256, "k\u00e9y"):
        a = g.api.request("POST", "/v1/users", {"name": fresh()}, {"Idempotency-Key": bad.encode("latin1")})
        assert a.status == 400 and a.json["errors"][0]["field"] == "Idempotency-Key", a


def test_errors_may_be_tried_again(g):
    key, name = fresh(), fresh()
    taken = g.api.post("/v1/users", {"name": name})
    a = post(g.api, "/v1/users", {"name": name}, key)
    assert a.status == 409
    g.api.delete(f"/v1/users/{taken['id']}")
    a = post(g.api, "/v1/users", {"name": name}, key)
    assert a.status == 201 and "Idempotency-Replayed" not in a.headers


def test_a_weaker_token_gets_no_answer_of_a_stronger_one(g):
    path, body = posts(g.api)["credential"]
    key = fresh()
    assert post(g.api, path, body, key).status == 201
    weak = g.anonymous.bearer(g.api.post("/v1/tokens", {"name": "weak", "role": "user"})["token"])
    a = post(weak, path, body, key)
    assert a.status == 422 and b"profile" not in a.body


def test_a_hundred_at_once(g, figure):
    name, key = fresh(), fresh()
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: post(g.api, "/v1/users", {"name": name}, key), range(100)))
    made = [a for a in answers if a.status == 201 and "Idempotency-Replayed" not in a.headers]
    again = [a for a in answers if a.status == 201 and "Idempotency-Replayed" in a.headers]
    busy = [a for a in answers if a.status == 409]
    figure("100 POSTs with one key", f"{len(made)} made, {len(again)} repeated, {len(busy)} told to wait")
    assert len(made) == 1 and len(made + again + busy) == 100
    assert all(a.headers["Retry-After"] for a in busy)
    for a in again:
        same(made[0], a)
    assert len(users_called(g.api, name)) == 1


def test_killed_in_between(gateway):
    """kill -9 right behind the answer, and in the middle of a hundred: what was made is never made twice."""
    g = gateway()
    kinds, answers = posts(g.api), {}
    for name, (path, body) in kinds.items():
        answers[name] = post(g.api, path, body, name)
        assert answers[name].status == 201
    g.restart_controlplane()
    for name, (path, body) in kinds.items():
        a = post(g.api, path, body, name)
        if name in ("user", "device"):
            same(answers[name], a)
            continue
        # It held a secret, which is gone: the repeat says what there is, and does nothing.
        assert a.status == 409 and answers[name].json["id"] in a.json["detail"], a
        assert a.json["errors"][0]["field"] == "Idempotency-Key" and "Retry-After" not in a.headers
    for name in ("credential", "invite"):
        device = g.api.get(kinds[name][0].rsplit("/", 1)[0])
        assert len(device["credentials"]) == 2
        assert len(g.api.all(f"/v1/devices/{device['id']}/invites")) == 1

    def write(n):
        try:
            return post(g.api, "/v1/users", {"name": f"cut-{n % 10}"}, f"cut-{n % 10}")
        except Exception:  # it died under us
            return None
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        running = [pool.submit(write, n) for n in range(60)]
        next(f for f in concurrent.futures.as_completed(running) if f.result() and f.result().status == 201)
        g.controlplane.kill()
        first = {}
        for f in running:
            if f.result() is not None and f.result().status == 201:
                first.setdefault(f.result().json["name"], f.result().body)
    g.controlplane.start()
    g.wait_ready()
    for n in range(10):
        a = post(g.api, "/v1/users", {"name": f"cut-{n}"}, f"cut-{n}")
        assert a.status == 201 and first.get(f"cut-{n}", a.body) == a.body
        assert len(users_called(g.api, f"cut-{n}")) == 1
    g.controlplane.stop()
    with sqlite3.connect(g.data_dir / "ireko.db") as db:
        bodies = db.execute("select body from requests_made where body is not null").fetchall()
        assert len(bodies) == 12
    data = b"".join(p.read_bytes() for p in g.data_dir.iterdir())
    for secret in (answers["token"].json["token"], answers["invite"].json["url"][-43:]):
        assert secret.encode() not in data and secret not in g.controlplane.text()
    g.controlplane.start()
    g.wait_ready()


# ---- entity tags ----

def test_tags_and_conditions(g):
    user = g.api.request("POST", "/v1/users", {"name": fresh()})
    device = g.api.request("POST", "/v1/devices", {"user_id": user.json["id"], "name": "d"})
    for made, change in ((device, {"name": "e"}), (user, {"display_name": "x"})):
        path = made.headers["Location"]
        got = g.api.request("GET", path)
        assert got.headers["ETag"] == made.headers["ETag"]
        for tags in (got.headers["ETag"], f'"x", W/{got.headers["ETag"]}', "*"):
            for method in ("GET", "HEAD"):
                a = g.api.request(method, path, headers={"If-None-Match": tags})
                assert a.status == 304 and not a.body and a.headers["ETag"] == got.headers["ETag"]
        assert g.api.request("GET", path, headers={"If-None-Match": '"x"'}).status == 200
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json-patch+json"):
            a = g.api.request("PATCH", path, b"{}", {"Content-Type": kind})
            assert a.status == 415, a
        assert g.api.request("PATCH", path, b"{}").status == 415
        for kind in ("application/json", "application/merge-patch+json"):
            changed = g.api.request("PATCH", path, change, {"Content-Type": kind, "If-Match": got.headers["ETag"]})
            assert changed.status == 200 and changed.headers["ETag"] != got.headers["ETag"]
            got = g.api.request("GET", path)
            assert got.headers["ETag"] == changed.headers["ETag"]
        stale = {"If-Match": made.headers["ETag"]}
        assert g.api.request("PATCH", path, change, stale).status == 412
        assert g.api.request("DELETE", path, headers=stale).status == 412
        assert g.api.request("DELETE", path, headers={"If-Match": got.headers["ETag"]}).status == 204


def test_what_has_no_tag_matches_none(g):
    for path, body in posts(g.api).values():
        where = g.api.request("POST", path, body).headers["Location"]
        if where.split("/")[2] in ("users", "devices"):
            continue
        assert g.api.request("DELETE", where, headers={"If-Match": '"1"'}).status == 412
        assert g.api.request("DELETE", where, headers={"If-Match": "*"}).status == 204
