"""The audit log as its readers see it: everything that was done, by whom, from where; nothing secret; and whatever
somebody does to it behind the service's back shows."""
import sqlite3
import threading

import pytest

from poll import until
from test_api_basics import fields, fresh, problem

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def house(module_gateway):
    return module_gateway()


def rows(api, **filters):
    """Newest first."""
    query = "&".join(f"{k}={v}" for k, v in filters.items())
    return api.all("/v1/audit" + (f"?{query}" if query else ""))


def said(row):
    return row["action"], row["object"], row["outcome"]


def sound(api):
    v = api.get("/v1/audit/verify")
    assert v["ok"] and v["broken_at"] is None and v["rows"] == v["last"] - v["first"] + 1, v
    return v


def test_everything_that_is_done_is_told(house):
    g = house
    name = fresh("told")
    user = g.api.post("/v1/users", {"name": name, "password": PASSWORD})
    login = g.anonymous.login(name, PASSWORD)
    token = login.post("/v1/tokens", {"name": "t"})
    device = login.post("/v1/devices", {"name": "laptop"})
    credential = login.post(f"/v1/devices/{device['id']}/credentials", {"protocol": "wireguard"})
    by_token = g.anonymous.bearer(token["token"])
    by_token.patch(f"/v1/devices/{device['id']}", {"name": "desktop"})
    problem(by_token.request("DELETE", f"/v1/users/{user['id']}"), 403)
    by_token.delete(f"/v1/credentials/{credential['id']}")
    by_token.delete(f"/v1/devices/{device['id']}")
    login.delete(f"/v1/tokens/{token['id']}")
    assert login.request("POST", "/v1/logout").status == 204
    problem(g.anonymous.request("POST", "/v1/login", {"username": name, "password": "wrong"}), 401)
    g.api.patch(f"/v1/users/{user['id']}", {"role": "operator", "password": "another horse"})
    g.api.delete(f"/v1/users/{user['id']}")

    mine = rows(g.api, actor=user["id"])[::-1]
    assert [said(r) for r in mine] == [
        ("login", None, "ok"), ("token.create", token["id"], "ok"), ("device.create", device["id"], "ok"),
        ("credential.issue", credential["id"], "ok"), ("device.patch", device["id"], "ok"),
        ("user.delete", user["id"], "denied"), ("credential.revoke", credential["id"], "ok"),
        ("device.delete", device["id"], "ok"), ("token.delete", token["id"], "ok"), ("logout", None, "ok"),
        ("login", None, "failed")]
    assert {r["actor"]["name"] for r in mine} == {name} and {r["from"] for r in mine} == {"127.0.0.1"}
    ways = [(r["actor"]["via"], r["actor"]["token_id"]) for r in mine]
    assert ways == [("login", None)] * 4 + [("token", token["id"])] * 4 + [("login", None)] * 2 + [(None, None)]
    assert [(said(r), r["detail"]) for r in rows(g.api, object=user["id"], action="user.patch")] == [
        (("user.patch", user["id"], "ok"), f"{name}, role operator, password")]
    assert {r["actor"]["name"] for r in rows(g.api, object=user["id"], action="user.create")} == {"admin"}
    sound(g.api)


def test_sessions_are_ended_on_the_record(house):
    g = house
    device, tunnel = g.connected(fresh("kill"))
    session = until(lambda: g.session_of(device), 3, "session is listed")
    g.api.delete(f"/v1/sessions/{session['id']}")
    row, = rows(g.api, object=session["id"])
    assert said(row) == ("session.kill", session["id"], "ok") and row["detail"] == f"of {device['id']}"
    tunnel.remove()


def test_filters_pages_and_who_may_look(house):
    g = house
    for query, field in (("limit=0", "limit"), ("cursor=x", "cursor"), ("actor=dev_" + "0" * 26, "actor"),
                         ("object=x", "object"), ("action=A", "action"), ("from=1", "from")):
        fields(g.api.request("GET", f"/v1/audit?{query}"), field)
    seen = [r["sequence"] for r in g.api.all("/v1/audit", limit=3)]
    assert seen == list(range(seen[0], 0, -1)), "dense, newest first, to the first row"
    for role, status in (("user", 403), ("auditor", 200), ("operator", 200)):
        token = g.api.post("/v1/tokens", {"name": "r", "role": role})["token"]
        for path in ("/v1/audit", "/v1/audit/verify"):
            assert g.anonymous.bearer(token).request("GET", path).status == status, (role, path)
    assert g.anonymous.request("GET", "/v1/audit").status == 401
    assert g.api.request("DELETE", "/v1/audit").status == 405


def test_no_secret_is_in_it(house):
    g = house
    canaries = [f"Canary-{i}-{fresh()}" for i in range(4)]
    user = g.api.post("/v1/users", {"name": fresh("canary"), "password": canaries[0]})
    g.api.patch(f"/v1/users/{user['id']}", {"password": canaries[1], "display_name": "x"})
    problem(g.anonymous.request("POST", "/v1/login", {"username": canaries[2], "password": canaries[3]}), 401)
    token = g.api.post("/v1/tokens", {"name": "t"})["token"]
    _, _, credential = g.provision(fresh("canary"))
    text = str(rows(g.api)) + g.controlplane.text()
    keys = [line.split(" = ")[1] for line in credential["profile"].splitlines() if line.startswith(("Private", "Preshared"))]
    for secret in canaries + [token] + keys:
        assert secret not in text


def test_a_flood_of_failures_is_summed_up(house):
    """The limits of logins let through what can be counted; the log takes a part of it."""
    g = house
    before = sound(g.api)["rows"]
    for i in range(14):
        g.anonymous.request("POST", "/v1/login", {"username": "flooded", "password": f"x{i}"})
    new = rows(g.api)[:sound(g.api)["rows"] - before]
    assert [r["outcome"] for r in new].count("failed") == 10
    assert [r["outcome"] for r in new].count("limited") == 1, "the first refusal of a window"


def test_many_at_once_and_a_crash(module_gateway):
    """Parallel writers make one dense chain; what a kill -9 cuts off is not half there."""
    g = module_gateway()
    made, stop = [], threading.Event()

    def write(n):
        while not stop.is_set():
            try:
                made.append(g.api.post("/v1/users", {"name": fresh(f"w{n}")})["id"])
            except Exception:  # the server is being killed
                return
            if len(made) >= 120:
                stop.set()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    stop.wait(30)
    g.controlplane.kill()
    for t in threads:
        t.join()
    g.controlplane.start()
    g.wait_ready()
    sound(g.api)
    told = {r["object"] for r in rows(g.api, action="user.create")}
    there = {u["id"] for u in g.api.all("/v1/users")}
    assert set(made) <= there and there <= told, "no user without a row"


TAMPERINGS = [
    ("removed", "DELETE FROM audit WHERE seq = 5", 5),
    ("changed", "UPDATE audit SET actor_name = 'mallory' WHERE seq = 6", 6),
    ("cut", "DELETE FROM audit WHERE seq > (SELECT max(seq) - 2 FROM audit)", None),
    ("cut, and the head fitted", "DELETE FROM audit WHERE seq > (SELECT max(seq) - 2 FROM audit);"
     "UPDATE audit_head SET last = (SELECT max(seq) FROM audit), "
     "hash = (SELECT hash FROM audit ORDER BY seq DESC LIMIT 1)", None),
]


def test_whatever_is_done_to_the_file_shows(house):
    """With the service stopped, on a copy of its database each time."""
    g = house
    path = g.data_dir / "ireko.db"
    last = sound(g.api)["last"]
    g.controlplane.stop()
    good = path.read_bytes()
    for what, sql, at in TAMPERINGS:
        path.write_bytes(good)
        db = sqlite3.connect(path)
        db.executescript(sql)
        db.close()
        g.controlplane.start()
        g.wait_ready()
        v = g.api.get("/v1/audit/verify")
        assert not v["ok"] and v["broken_at"] == (at or last - 1), (what, v)
        g.api.post("/v1/users", {"name": fresh("after")})
        v = g.api.get("/v1/audit/verify")
        assert not v["ok"] and v["broken_at"] <= (at or last - 1), f"{what}: healed by the next row, {v}"
        g.controlplane.stop()
    path.write_bytes(good)
    g.controlplane.start()
    g.wait_ready()
    sound(g.api)
