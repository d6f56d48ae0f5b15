"""The REST contract as a caller sees it: who is let in, what errors look like, lists, writes that repeat."""
import itertools
import json
import re
import socket
import time

import pytest

import noise
from poll import until

_names = itertools.count()


def fresh(prefix="n"):
    return f"{prefix}-{next(_names)}-{time.time_ns() % 10**9}"


def problem(answer, status):
    """The answer is a problem of RFC 9457 with that status: its document."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"].split(";")[0] == "application/problem+json"
    p = answer.json
    assert p["status"] == status and p["type"] and p["title"] and isinstance(p.get("detail", ""), str)
    return p


def fields(answer, *names, status=422):
    """Bad input, and these fields are named."""
    p = problem(answer, status)
    assert {e["field"] for e in p["errors"]} >= set(names), p
    assert all(e["message"] for e in p["errors"])


@pytest.fixture(scope="module")
def api(api_server):
    return api_server.api


@pytest.fixture(scope="module")
def people(api_server):
    """A caller by token for every role, and by login: {role: (user, by token, by login)}."""
    g, out = api_server, {}
    for role in ("user", "auditor", "operator", "admin"):
        name = fresh(role)
        user = g.api.post("/v1/users", {"name": name, "role": role, "password": "correct horse battery"})
        login = g.anonymous.login(name, "correct horse battery")
        # An auditor changes nothing, so he makes no tokens either: his is a lowered one of the admin.
        maker = g.api if role == "auditor" else login
        token = maker.post("/v1/tokens", {"name": "t", "role": role})["token"]
        out[role] = (user, g.anonymous.bearer(token), login)
    return out


# ---- who is let in ----

def test_health_needs_no_credentials(api_server):
    for path in ("/healthz", "/readyz"):
        assert api_server.anonymous.request("GET", path).status == 200


def test_no_credentials(api_server):
    for method, path in (("GET", "/v1/users"), ("POST", "/v1/users"), ("GET", "/v1/me"), ("DELETE", "/v1/users/usr_x"),
                         ("GET", "/v1/status"), ("GET", "/v1/sessions")):
        a = api_server.anonymous.request(method, path, {} if method == "POST" else None)
        problem(a, 401)
        assert a.headers["WWW-Authenticate"]


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer x", "Bearer ireko_" + "A" * 43, "Basic YWRtaW46YWRtaW4=",
                                    "bearer ireko_", "Bearer ireko_" + "A" * 4000])
def test_wrong_token(api_server, header):
    problem(api_server.anonymous.as_({"Authorization": header}).request("GET", "/v1/me"), 401)


def test_login_and_logout(api_server):
    g = api_server
    a = g.anonymous.request("POST", "/v1/login", {"username": "admin", "password": g.admin_password})
    assert a.status == 200 and a.json["user"]["name"] == "admin" and len(a.json["csrf_token"]) >= 32
    cookie = a.headers["Set-Cookie"]
    attributes = {p.strip().lower() for p in cookie.split(";")[1:]}
    assert "httponly" in attributes and "samesite=strict" in attributes
    me = g.anonymous.as_({"Cookie": cookie.split(";")[0]})
    assert me.get("/v1/me")["user"]["name"] == "admin"
    csrf = {"X-CSRF-Token": a.json["csrf_token"]}
    assert me.request("POST", "/v1/logout", headers=csrf).status == 204
    problem(me.request("GET", "/v1/me"), 401)


def test_csrf(api_server, people):
    """A cookie alone reads; it writes only together with the token of that login."""
    _, _, login = people["admin"]
    _, _, other = people["operator"]
    cookie = {"Cookie": login.auth["Cookie"]}
    bare = api_server.anonymous.as_(cookie)
    assert bare.request("GET", "/v1/me").status == 200
    name = fresh("csrf")
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x" * 43}, {"X-CSRF-Token": other.auth["X-CSRF-Token"]}):
        problem(bare.request("POST", "/v1/users", {"name": name}, headers), 403)
    assert login.request("POST", "/v1/users", {"name": name}).status == 201


def test_wrong_password(api_server, api):
    """The same answer for accounts that exist and those that don't; ten failures close an account for a while."""
    name = fresh("guessed")
    api.post("/v1/users", {"name": name, "password": "the right password"})
    answers = []
    for who in (name, fresh("nobody")):
        a = api_server.anonymous.request("POST", "/v1/login", {"username": who, "password": "a wrong password"})
        problem(a, 401)
        answers.append(a.json)
    assert answers[0] == answers[1]
    for _ in range(9):
        problem(api_server.anonymous.request("POST", "/v1/login", {"username": name, "password": "wrong again"}), 401)
    a = api_server.anonymous.request("POST", "/v1/login", {"username": name, "password": "the right password"})
    problem(a, 429)
    assert 0 < int(a.headers["Retry-After"]) <= 900
    # Somebody else is not locked out by it.
    assert api_server.anonymous.login("admin", api_server.admin_password).get("/v1/me")["user"]["name"] == "admin"


def test_user_without_password_cannot_log_in(api_server, api):
    name = fresh("silent")
    api.post("/v1/users", {"name": name})
    for password in ("", "password", "null"):
        a = api_server.anonymous.request("POST", "/v1/login", {"username": name, "password": password})
        assert a.status in (401, 422), a


def test_disabled_user_is_out_at_once(api_server, api):
    name = fresh("leaving")
    user = api.post("/v1/users", {"name": name, "password": "correct horse battery"})
    login = api_server.anonymous.login(name, "correct horse battery")
    token = api_server.anonymous.bearer(login.post("/v1/tokens", {"name": "t"})["token"])
    assert token.get("/v1/me")["user"]["name"] == name
    api.patch(f"/v1/users/{user['id']}", {"disabled": True})
    problem(token.request("GET", "/v1/me"), 401)
    problem(login.request("GET", "/v1/me"), 401)
    problem(api_server.anonymous.request("POST", "/v1/login",
                                         {"username": name, "password": "correct horse battery"}), 401)


# ---- roles ----

def test_roles(api_server, api, people):
    person, own, _ = people["user"]
    _, auditor, _ = people["auditor"]
    _, operator, _ = people["operator"]
    stranger = api.post("/v1/users", {"name": fresh("stranger")})
    foreign = api.post("/v1/devices", {"user_id": stranger["id"], "name": "foreign"})
    # A user: own devices only; what belongs to somebody else is not even there.
    mine = own.post("/v1/devices", {"name": fresh("mine")})
    assert mine["user_id"] == person["id"]
    assert [d["id"] for d in own.all("/v1/devices")] == [mine["id"]]
    assert own.post(f"/v1/devices/{mine['id']}/credentials", {"protocol": "wireguard"})["profile"]
    for method, path, body in (("GET", f"/v1/devices/{foreign['id']}", None),
                               ("PATCH", f"/v1/devices/{foreign['id']}", {"enabled": False}),
                               ("DELETE", f"/v1/devices/{foreign['id']}", None),
                               ("POST", f"/v1/devices/{foreign['id']}/credentials", {"protocol": "wireguard"})):
        problem(own.request(method, path, body), 404)
    assert own.request("POST", "/v1/devices", {"user_id": stranger["id"], "name": "x"}).status in (403, 404, 422)
    problem(own.request("POST", "/v1/users", {"name": fresh()}), 403)
    assert own.request("PATCH", f"/v1/users/{person['id']}", {"role": "admin"}).status in (403, 404)
    assert own.get("/v1/me")["role"] == "user"
    # An auditor: reads all, changes nothing.
    assert foreign["id"] in [d["id"] for d in auditor.all("/v1/devices")]
    assert auditor.get("/v1/status") and auditor.all("/v1/users")
    for method, path, body in (("POST", "/v1/users", {"name": fresh()}),
                               ("PATCH", f"/v1/devices/{foreign['id']}", {"enabled": False}),
                               ("DELETE", f"/v1/devices/{foreign['id']}", None),
                               ("POST", "/v1/tokens", {"name": "more"}),
                               ("POST", f"/v1/devices/{foreign['id']}/credentials", {"protocol": "wireguard"})):
        problem(auditor.request(method, path, body), 403)
    # An operator: users, devices, credentials; never above himself.
    made = operator.post("/v1/users", {"name": fresh("by-operator")})
    device = operator.post("/v1/devices", {"user_id": made["id"], "name": "d"})
    operator.post(f"/v1/devices/{device['id']}/credentials", {"protocol": "wireguard"})
    operator.delete(f"/v1/devices/{device['id']}")
    assert operator.request("POST", "/v1/users", {"name": fresh(), "role": "admin"}).status == 403
    admin = next(u for u in api.all("/v1/users") if u["name"] == "admin")
    assert operator.request("PATCH", f"/v1/users/{admin['id']}", {"password": "taken over now"}).status == 403
    assert operator.request("PATCH", f"/v1/users/{made['id']}", {"role": "admin"}).status == 403
    assert operator.request("DELETE", f"/v1/users/{admin['id']}").status == 403


def test_token_roles(api_server, people):
    """A token may be lower than its owner, never higher; revoked it is dead."""
    _, operator, login = people["operator"]
    low = login.post("/v1/tokens", {"name": "low", "role": "auditor"})
    assert re.fullmatch(r"ireko_[A-Za-z0-9_-]{43}", low["token"]) and low["role"] == "auditor"
    by_low = api_server.anonymous.bearer(low["token"])
    assert by_low.get("/v1/me")["role"] == "auditor"
    problem(by_low.request("POST", "/v1/users", {"name": fresh()}), 403)
    assert login.request("POST", "/v1/tokens", {"name": "high", "role": "admin"}).status in (403, 422)
    assert all("token" not in t for t in login.all("/v1/tokens"))
    login.delete(f"/v1/tokens/{low['id']}")
    problem(by_low.request("GET", "/v1/me"), 401)
    # A token that makes tokens does not outgrow itself.
    mid = api_server.anonymous.bearer(login.post("/v1/tokens", {"name": "mid", "role": "auditor"})["token"])
    assert mid.request("POST", "/v1/tokens", {"name": "up", "role": "operator"}).status in (403, 422)


def test_token_expires(api_server, people):
    _, _, login = people["operator"]
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    by = api_server.anonymous.bearer(login.post("/v1/tokens", {"name": "short", "expires_at": soon})["token"])
    assert by.request("GET", "/v1/me").status == 200
    until(lambda: by.request("GET", "/v1/me").status == 401, 4, "token expires")


def test_last_admin_stays(api_server, api):
    others = [u for u in api.all("/v1/users") if u["role"] == "admin" and u["name"] != "admin" and not u["disabled"]]
    admin = next(u for u in api.all("/v1/users") if u["name"] == "admin")
    for u in others:
        api.patch(f"/v1/users/{u['id']}", {"disabled": True})
    try:
        problem(api.request("DELETE", f"/v1/users/{admin['id']}"), 409)
        problem(api.request("PATCH", f"/v1/users/{admin['id']}", {"disabled": True}), 409)
        problem(api.request("PATCH", f"/v1/users/{admin['id']}", {"role": "user"}), 409)
    finally:
        for u in others:
            api.patch(f"/v1/users/{u['id']}", {"disabled": False})


# ---- input ----

@pytest.mark.parametrize("body, names", [
    ({}, ["name"]),
    ({"name": None}, ["name"]),
    ({"name": 5}, ["name"]),
    ({"name": ""}, ["name"]),
    ({"name": "x" * 65}, ["name"]),
    ({"name": "a\nb"}, ["name"]),
    ({"name": "ok", "surprise": 1}, ["surprise"]),
    ({"name": "ok", "role": "god"}, ["role"]),
    ({"name": "ok", "disabled": "yes"}, ["disabled"]),
    ({"name": "ok", "email": "x" * 255}, ["email"]),
    ({"name": "ok", "password": "short"}, ["password"]),
    ({"name": "ok", "groups": []}, ["groups"]),
    ({"name": 7, "role": [], "extra": {}}, ["name", "role", "extra"]),
])
def test_bad_user(api, body, names):
    fields(api.request("POST", "/v1/users", body), *names)


@pytest.mark.parametrize("change, names", [
    ({"name": ""}, ["name"]),
    ({"address4": "10.78.0.1"}, ["address4"]),
    ({"address4": "10.77.0.1"}, ["address4"]),
    ({"address4": "10.77.0.0"}, ["address4"]),
    ({"address4": "10.77.255.255"}, ["address4"]),
    ({"address4": "fd00::1"}, ["address4"]),
    ({"address6": "2001:db8::1"}, ["address6"]),
    ({"address6": "10.77.0.9"}, ["address6"]),
    ({"expires_at": "tomorrow"}, ["expires_at"]),
    ({"expires_at": 17}, ["expires_at"]),
    ({"enabled": 1}, ["enabled"]),
    ({"user_id": "dev_01ARZ3NDEKTSV4RRFFQ69G5FAV"}, ["user_id"]),
    ({"routes": []}, ["routes"]),
    ({"rate_limit_bps": 1}, ["rate_limit_bps"]),
])
def test_bad_device(api, change, names):
    user = api.post("/v1/users", {"name": fresh("owner")})
    a = api.request("POST", "/v1/devices", {"user_id": user["id"], "name": "d", **change})
    if a.status == 409:  # an address inside the network that can't be given away
        problem(a, 409)
    else:
        fields(a, *names)
    assert not api.all(f"/v1/devices?user_id={user['id']}"), "nothing was made"


@pytest.mark.parametrize("body, names", [
    ({}, ["protocol"]),
    ({"protocol": "pptp"}, ["protocol"]),
    ({"protocol": "wireguard", "public_key": "short"}, ["public_key"]),
    ({"protocol": "wireguard", "public_key": "A" * 43 + "="}, ["public_key"]),
    ({"protocol": "wireguard", "public_key": "B" * 44}, ["public_key"]),
    ({"protocol": "wireguard", "expires_at": "2001-01-01T00:00:00Z"}, ["expires_at"]),
    ({"protocol": "wireguard", "private_key": "x"}, ["private_key"]),
])
def test_bad_credential(api, body, names):
    device = own_device(api)
    fields(api.request("POST", f"/v1/devices/{device['id']}/credentials", body), *names)
    assert api.get(f"/v1/devices/{device['id']}")["credentials"] == []


def own_device(api, **more):
    user = api.post("/v1/users", {"name": fresh("owner")})
    return api.post("/v1/devices", {"user_id": user["id"], "name": "d", **more})


@pytest.mark.parametrize("body, statuses", [
    (b"", (400, 422)),
    (b"{", (400,)),
    (b"[]", (400, 422)),
    (b'"x"', (400, 422)),
    (b'{"name": "a"} x', (400,)),
    (b'{"name": "a", "name": "b"}', (400, 422)),
    (b'{"name": "\xff\xfe"}', (400, 422)),
    (b'{"name": "\\u0000"}', (400, 422)),
    (b'{"name": "\\ud800"}', (400, 422)),
    (b'{"name": ' + b"[" * 17 + b"]" * 17 + b"}", (400, 422)),
    (b'{"name": ' + b"[" * 20000 + b"]" * 20000 + b"}", (400, 422)),
    (b'{"name": "' + b"x" * 65536 + b'"}', (413,)),
    (b'{"name": NaN}', (400,)),
], ids=lambda v: v[:24] if isinstance(v, bytes) else None)
def test_broken_json(api, body, statuses):
    count = len(api.all("/v1/users"))
    a = api.request("POST", "/v1/users", body, {"Content-Type": "application/json"})
    assert a.status in statuses, a
    problem(a, a.status)
    assert len(api.all("/v1/users")) == count


def test_wrong_content_type(api):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        a = api.request("POST", "/v1/users", b'{"name": "typed"}', {"Content-Type": kind})
        assert a.status in (400, 415, 422), a
        problem(a, a.status)


# ---- routes ----

def test_unknown_routes(api):
    for path in ("/v1/nothing", "/v2/users", "/v1", "/v1/users/usr_x/y", "/v1/groups", "/v1/policies", "/V1/users"):
        problem(api.request("GET", path), 404)


def test_unknown_objects(api):
    absent = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for path in (f"/v1/users/usr_{absent}", f"/v1/devices/dev_{absent}", f"/v1/users/dev_{absent}", "/v1/devices/x",
                 f"/v1/users/usr_{absent.lower()}", "/v1/users/usr_" + "Z" * 26):
        problem(api.request("GET", path), 404)
    for path in (f"/v1/credentials/crd_{absent}", f"/v1/sessions/ses_{absent}", f"/v1/tokens/tok_{absent}",
                 f"/v1/devices/dev_{absent}", f"/v1/users/usr_{absent}"):
        problem(api.request("DELETE", path), 404)


def test_wrong_method(api):
    for method, path in (("PUT", "/v1/users"), ("DELETE", "/v1/users"), ("POST", "/v1/status"), ("GET", "/v1/login")):
        a = api.request(method, path)
        problem(a, 405)
        assert a.headers["Allow"]


# ---- objects ----

def test_user_life(api):
    name = fresh("life")
    a = api.request("POST", "/v1/users", {"name": name, "display_name": "Živa 入れ子", "email": "z@example.org"})
    assert a.status == 201
    user = a.json
    assert re.fullmatch(r"usr_[0-9A-HJKMNP-TV-Z]{26}", user["id"])
    assert a.headers["Location"] == f"/v1/users/{user['id']}"
    assert user["role"] == "user" and user["disabled"] is False and "password" not in user
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", user["created_at"])
    got = api.request("GET", f"/v1/users/{user['id']}")
    assert got.json == user and got.headers["ETag"]
    changed = api.request("PATCH", f"/v1/users/{user['id']}", {"email": None},
                          {"If-Match": got.headers["ETag"], "Content-Type": "application/merge-patch+json"})
    assert changed.status == 200 and changed.json["email"] is None
    assert changed.json["display_name"] == "Živa 入れ子" and changed.headers["ETag"] != got.headers["ETag"]
    for method in ("PATCH", "DELETE"):
        problem(api.request(method, f"/v1/users/{user['id']}", {"email": "late@example.org"} if method == "PATCH" else None,
                            {"If-Match": got.headers["ETag"]}), 412)
    problem(api.request("POST", "/v1/users", {"name": name}), 409)
    api.delete(f"/v1/users/{user['id']}")
    problem(api.request("GET", f"/v1/users/{user['id']}"), 404)
    problem(api.request("DELETE", f"/v1/users/{user['id']}"), 404)


def test_device_life(api):
    device = own_device(api, address4="10.77.40.9")
    assert device["address4"] == "10.77.40.9" and device["enabled"] is True and device["credentials"] == []
    status = device["status"]
    assert status["connected"] is False and status["rx_bytes"] == status["tx_bytes"] == 0
    assert status["last_handshake_at"] is None and status["endpoint"] is None
    owner = device["user_id"]
    problem(api.request("POST", "/v1/devices", {"user_id": owner, "name": device["name"]}), 409)
    problem(api.request("POST", "/v1/devices", {"user_id": owner, "name": "e", "address4": "10.77.40.9"}), 409)
    fields(api.request("PATCH", f"/v1/devices/{device['id']}", {"user_id": owner}), "user_id")
    other = api.patch(f"/v1/devices/{device['id']}", {"name": "renamed", "expires_at": "2099-01-01T00:00:00Z"})
    assert other["name"] == "renamed" and other["expires_at"].startswith("2099-01-01T00:00:00")
    assert api.patch(f"/v1/devices/{device['id']}", {"expires_at": None})["expires_at"] is None
    api.delete(f"/v1/devices/{device['id']}")
    problem(api.request("GET", f"/v1/devices/{device['id']}"), 404)
    # A freed address rests: it is not handed to the next one at once.
    assert own_device(api)["address4"] != "10.77.40.9"


def test_credential_life(api):
    device = own_device(api)
    private, public = noise.new_key()
    a = api.request("POST", f"/v1/devices/{device['id']}/credentials", {"protocol": "wireguard", "public_key": public})
    assert a.status == 201 and a.headers["Location"].endswith(a.json["id"])
    assert a.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(r"[0-9a-f]{64}", a.json["fingerprint"]) and a.json["revoked_at"] is None
    problem(api.request("POST", f"/v1/devices/{device['id']}/credentials",
                        {"protocol": "wireguard", "public_key": public}), 409)
    api.delete(f"/v1/credentials/{a.json['id']}")
    kept = api.get(f"/v1/devices/{device['id']}")["credentials"]
    assert [c["id"] for c in kept] == [a.json["id"]] and kept[0]["revoked_at"]


# ---- what one caller may take ----

def test_limits_of_one_user(api_server, api):
    """Nobody who helps himself can exhaust what belongs to all; somebody else is not hit by it."""
    name = fresh("greedy")
    api.post("/v1/users", {"name": name, "password": "correct horse battery"})
    own = api_server.anonymous.bearer(
        api_server.anonymous.login(name, "correct horse battery").post("/v1/tokens", {"name": "t"})["token"])
    made = [own.post("/v1/devices", {"name": f"d{i}"}) for i in range(64)]
    problem(own.request("POST", "/v1/devices", {"name": "more"}), 409)
    own.delete(f"/v1/devices/{made.pop()['id']}")
    problem(own.request("POST", "/v1/devices", {"name": "more"}), 409)  # its addresses rest
    api.post("/v1/devices", {"user_id": made[0]["user_id"], "name": "given"})
    at = f"/v1/devices/{made[0]['id']}"
    first = [own.post(f"{at}/credentials", {"protocol": "wireguard"}) for _ in range(32)][0]
    problem(own.request("POST", f"{at}/credentials", {"protocol": "wireguard"}), 409)
    own.delete(f"/v1/credentials/{first['id']}")
    own.post(f"{at}/credentials", {"protocol": "wireguard"})
    for _ in range(63):
        own.post("/v1/tokens", {"name": "t"})
    problem(own.request("POST", "/v1/tokens", {"name": "t"}), 409)
    api.delete(f"/v1/users/{made[0]['user_id']}")


def test_own_password_does_not_hold_up_others(api_server, api):
    """Each change costs as much as a login: ten in a quarter of an hour, then later."""
    name = fresh("restless")
    user = api.post("/v1/users", {"name": name, "password": "correct horse battery"})
    own = api_server.anonymous.login(name, "correct horse battery")
    for _ in range(10):
        own.patch(f"/v1/users/{user['id']}", {"password": "another long password"})
    a = own.request("PATCH", f"/v1/users/{user['id']}", {"password": "another long password"})
    problem(a, 429)
    assert 0 < int(a.headers["Retry-After"]) <= 900
    own.patch(f"/v1/users/{user['id']}", {"display_name": "Restless"})


def test_the_first_instant_is_not_never(api):
    device = own_device(api)
    epoch = {"expires_at": "1970-01-01T00:00:00Z"}
    fields(api.request("PATCH", f"/v1/devices/{device['id']}", epoch), "expires_at")
    fields(api.request("POST", f"/v1/devices/{device['id']}/credentials", {"protocol": "wireguard", **epoch}), "expires_at")
    fields(api.request("POST", "/v1/tokens", {"name": "t", **epoch}), "expires_at")


# ---- lists ----

def test_paging_is_stable_while_rows_come_and_go(api):
    made = [api.post("/v1/users", {"name": fresh("page")}) for _ in range(25)]
    stay, go = made[::2], made[1::2]
    seen, cursor, late = [], None, []
    while True:
        page = api.get("/v1/users?limit=4" + (f"&cursor={cursor}" if cursor else ""))
        assert len(page["items"]) <= 4
        seen += [u["id"] for u in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
        if go:
            api.delete(f"/v1/users/{go.pop()['id']}")
        if len(late) < 10:
            late.append(api.post("/v1/users", {"name": fresh("late")}))
    assert len(seen) == len(set(seen)), "nothing twice"
    assert {u["id"] for u in stay} <= set(seen), "nothing that stayed is missing"


def test_paging_limits(api):
    for limit in ("0", "501", "-1", "x", "", "1e2", "99999999999999999999"):
        assert api.request("GET", f"/v1/users?limit={limit}").status in (400, 422), limit
    for cursor in ("x", "%00", "A" * 500, "usr_01ARZ3NDEKTSV4RRFFQ69G5FA"):
        assert api.request("GET", f"/v1/users?cursor={cursor}").status in (400, 422), cursor
    assert api.request("GET", "/v1/users?unknown=1").status in (400, 422)
    assert len(api.get("/v1/users?limit=1")["items"]) == 1
    assert len(api.get("/v1/users?limit=500")["items"]) >= 1


# ---- the wire itself ----

def raw(g, text, timeout=5.0):
    """Sends bytes, returns the status line's number (0: closed without an answer) and the rest."""
    s = g.ns.connect("127.0.0.1", g.http_port, timeout)
    data = b""
    with s:
        try:
            s.sendall(text)
            s.shutdown(socket.SHUT_WR)
            while block := s.recv(65536):
                data += block
        except OSError:
            pass  # closed in our face: that is an answer, too
    m = re.match(rb"HTTP/1\.1 (\d+)", data)
    return int(m.group(1)) if m else 0


@pytest.mark.parametrize("head", [
    "GET /healthz HTTP/1.1\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "POST /v1/login HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "POST /v1/login HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "POST /v1/login HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}",
    "POST /v1/login HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n{}",
    "POST /v1/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "POST /v1/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
    "GET http://a/healthz HTTP/1.1\r\nHost: a\r\nX: " + "y" * 70000 + "\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
    "GARBAGE\r\n\r\n",
], ids=lambda head: head[:60])
def test_refused_framing(api_server, head):
    status = raw(api_server, head.encode())
    assert status == 0 or 400 <= status < 500 or status in (501, 505), status
    assert api_server.anonymous.request("GET", "/healthz").status == 200


def test_slow_request_is_cut_off(api_server):
    """15 s in all for one request; somebody who drips bytes does not get more."""
    s = api_server.ns.connect("127.0.0.1", api_server.http_port, 30.0)
    start = time.monotonic()
    with s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
        s.settimeout(0.5)
        while time.monotonic() - start < 25:
            try:
                if not s.recv(4096):
                    break
                continue
            except socket.timeout:
                pass
            except ConnectionResetError:
                break
            try:
                s.sendall(b"X-Slow: 1\r\n")
            except (BrokenPipeError, ConnectionResetError):
                break
    assert 5 < time.monotonic() - start < 20


def test_many_idle_connections_do_not_lock_others_out(api_server):
    """Connections that say nothing are bounded for one prefix; another caller of the API is still answered."""
    idle = []
    try:
        for _ in range(300):
            try:
                idle.append(api_server.ns.connect("127.0.0.1", api_server.http_port, 2.0))
            except OSError:
                break
        # Whoever has a connection keeps it.
        assert api_server.api.request("GET", "/v1/me").status == 200
    finally:
        for s in idle:
            s.close()

    def answered():
        try:
            return api_server.anonymous.request("GET", "/healthz").status == 200
        except OSError:
            return False
    until(answered, 5, "a new connection after the idle ones are gone")


def test_answers_carry_the_standing_headers(api_server, api):
    for a in (api.request("GET", "/v1/me"), api_server.anonymous.request("GET", "/v1/me"), api.request("GET", "/v1/none")):
        assert a.headers["X-Content-Type-Options"] == "nosniff"
        assert a.headers["Cache-Control"] == "no-store"


def test_status(api_server, api):
    s = api.get("/v1/status")
    assert s["dataplane"]["connected"] is True and s["dataplane"]["tun"] == "ireko0"
    assert any("51820" in at for at in s["dataplane"]["listen"])
    assert s["dataplane"]["workers"] >= 1 and isinstance(s["dataplane"]["drops"], dict)
    assert {"spoofed_source", "replay", "bad_tag", "malformed"} <= set(s["dataplane"]["drops"])
    assert set(s["dataplane"]["aead"]) == {"CHACHA20-POLY1305", "AES-256-GCM", "AES-128-GCM"}
    assert set(s["dataplane"]["aead"].values()) <= {"openssl", "ipsec-mb"}
    assert json.dumps(s).count("password") == 0
