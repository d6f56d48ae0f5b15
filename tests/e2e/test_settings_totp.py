"""Settings that hold at once and over a restart, and second factors from the first code to the last."""
import base64
import re

import pytest

import kinds
import topology
from house import code
from poll import until
from test_api_basics import fields, fresh, problem

PASSWORD = "correct horse battery"
TOTP_REQUIRED = "urn:ireko:problem:totp-required"


@pytest.fixture(scope="module")
def house(module_gateway):
    return module_gateway()


# ---- settings ----

def test_settings_hold_at_once_and_over_a_restart(house):
    g = house
    a = g.request("GET", "/v1/settings")
    first = a.json
    defaults = first["defaults"]
    assert {k: first[k] for k in defaults} == defaults and first["updated_at"] is None
    assert defaults["mtu"] == 1420 and defaults["dns"] == [topology.INTERNET4] and defaults["endpoint"] == topology.SERVER4
    change = {"endpoint": "vpn.example.net", "dns": ["9.9.9.9", "2620:fe::fe"], "mtu": 1300, "keepalive": 0,
              "credential_lifetime_s": 3600, "traffic_retention": {"hours": 3}, "audit_retention_days": 30}
    old = {"If-Match": a.headers["ETag"]}
    b = g.request("PATCH", "/v1/settings", change, old)
    assert b.status == 200 and b.headers["ETag"] != a.headers["ETag"], b
    expected = {**change, "traffic_retention": {**defaults["traffic_retention"], "hours": 3}}
    assert {k: b.json[k] for k in expected} == expected and b.json["defaults"] == defaults
    problem(g.request("PATCH", "/v1/settings", {"mtu": 1400}, old), 412)

    def next_profile_has_it():
        _, _, issued = g.provision(fresh("set"))
        profile = issued["profile"]
        for line in ("Endpoint = vpn.example.net:51820", "DNS = 9.9.9.9, 2620:fe::fe", "MTU = 1300"):
            assert line in profile.splitlines(), profile
        assert "PersistentKeepalive" not in profile and issued["expires_at"] is not None

    def device_has_it():
        return "mtu 1300 " in g.ns.run("ip", "link", "show", "ireko0")

    next_profile_has_it()
    until(device_has_it, 5, "the tunnel device has the MTU")
    g.restart_controlplane()
    next_profile_has_it()
    until(device_has_it, 5, "and keeps it")
    assert g.api.get("/v1/settings")["updated_at"] == b.json["updated_at"]
    c = g.api.patch("/v1/settings", {k: None for k in change})
    assert {k: c[k] for k in defaults} == defaults
    until(lambda: "mtu 1420 " in g.ns.run("ip", "link", "show", "ireko0"), 5, "as it was")


def test_openvpn_clients_are_told(house):
    """Resolvers and MTU that were set while the service runs reach the next client; the last one stays connected."""
    g = house
    _, before = g.connected(fresh("ov"), kinds.OPENVPN[0])
    g.api.patch("/v1/settings", {"dns": ["9.9.9.9"], "mtu": 1340})
    _, tunnel = g.connected(fresh("ov"), kinds.OPENVPN[0])
    assert "dhcp-option DNS 9.9.9.9" in tunnel.pushed() and "tun-mtu 1340" in tunnel.pushed()
    assert "9.9.9.9" not in before.pushed() and "tun-mtu 1420" in before.pushed()
    assert before.ping(topology.INTERNET4)
    g.api.patch("/v1/settings", {"dns": None, "mtu": None})
    before.remove()
    tunnel.remove()


@pytest.mark.parametrize("body,field", [
    ({"endpoint": "a b"}, "endpoint"), ({"endpoint": "vpn.example:1194"}, "endpoint"), ({"endpoint": ""}, "endpoint"),
    ({"endpoint": "x\nPostUp = id"}, "endpoint"), ({"endpoint": "a" * 254}, "endpoint"), ({"endpoint": "0.0.0.0"}, "endpoint"),
    ({"dns": "9.9.9.9"}, "dns"), ({"dns": ["dns.example"]}, "dns"), ({"dns": ["9.9.9.9"] * 5}, "dns"),
    ({"dns": ["ff02::1"]}, "dns"), ({"mtu": 1279}, "mtu"), ({"mtu": 9001}, "mtu"), ({"mtu": "1300"}, "mtu"),
    ({"mtu": 1300.5}, "mtu"), ({"keepalive": -1}, "keepalive"), ({"keepalive": 3601}, "keepalive"),
    ({"credential_lifetime_s": -1}, "credential_lifetime_s"), ({"traffic_retention": {"days": 0}}, "traffic_retention.days"),
    ({"traffic_retention": {"weeks": 1}}, "traffic_retention"), ({"audit_retention_days": 0}, "audit_retention_days"),
    ({"defaults": {}}, "defaults"), ({"mtu": 1300, "colour": "red"}, "colour"),
])
def test_bad_settings_change_nothing(house, body, field):
    before = house.request("GET", "/v1/settings")
    fields(house.request("PATCH", "/v1/settings", body), field)
    after = house.request("GET", "/v1/settings")
    assert (after.headers["ETag"], after.json) == (before.headers["ETag"], before.json)


def test_who_may_see_and_set_them(house):
    for role, sees, sets in (("user", 403, 403), ("auditor", 200, 403), ("operator", 200, 403), ("admin", 200, 200)):
        caller = house.anonymous.bearer(house.api.post("/v1/tokens", {"name": "r", "role": role})["token"])
        assert caller.request("GET", "/v1/settings").status == sees
        assert caller.request("PATCH", "/v1/settings", {}).status == sets


# ---- second factors ----

def wrong_code(secret):
    right = {code(secret, i) for i in (-1, 0, 1, 2)}
    return next(c for c in ("000000", "111111", "222222", "333333", "444444") if c not in right)


@pytest.fixture
def person(house):
    name = fresh("totp")
    user = house.api.post("/v1/users", {"name": name, "password": PASSWORD})
    return name, user, house.anonymous.login(name, PASSWORD)


def attempt(g, name, password=PASSWORD, **more):
    return g.anonymous.request("POST", "/v1/login", {"username": name, "password": password, **more})


def test_a_second_factor_from_beginning_to_end(house, person):
    g = house
    name, user, login = person
    assert login.get("/v1/me")["user"]["totp"] is False
    other = g.anonymous.login(name, PASSWORD)
    fields(login.request("POST", "/v1/me/totp", {"password": "wrong horse"}), "password")
    begun = login.post("/v1/me/totp", {"password": PASSWORD})
    assert begun["qr_svg"].startswith("<svg ") and f"secret={begun['secret']}" in begun["otpauth_url"]
    assert re.fullmatch(r"otpauth://totp/Ireko:[\w.@-]+\?.*", begun["otpauth_url"])
    assert attempt(g, name).status == 200, "begun is not on"
    fields(login.request("POST", "/v1/me/totp/confirm", {"totp": wrong_code(begun["secret"])}), "totp")
    # The clock's step is the server's as well, one either way is taken.
    assert login.request("POST", "/v1/me/totp/confirm", {"totp": code(begun["secret"])}).status == 204
    assert login.get("/v1/me")["user"]["totp"] is True and g.api.get(f"/v1/users/{user['id']}")["totp"] is True
    assert other.request("GET", "/v1/me").status == 401, "logins without a code are over"

    assert problem(attempt(g, name), 401)["type"] == TOTP_REQUIRED
    assert problem(attempt(g, name, totp=wrong_code(begun["secret"])), 401)["type"] == TOTP_REQUIRED
    strange, known = attempt(g, "nobody", totp="123456"), attempt(g, name, "wrong horse", totp=code(begun["secret"], 1))
    assert problem(known, 401)["type"] == "about:blank" and strange.body == known.body
    used = code(begun["secret"], 1)
    assert attempt(g, name, totp=used).status == 200
    assert problem(attempt(g, name, totp=used), 401)["type"] == TOTP_REQUIRED, "each code once"

    fields(login.request("POST", "/v1/me/totp/disable", {"password": PASSWORD, "totp": used}), "totp")
    problem(login.request("POST", "/v1/me/totp", {"password": PASSWORD}), 409)
    assert login.request("GET", "/v1/me").json["user"]["totp"] is True
    for secret in (begun["secret"], used):
        assert secret not in g.controlplane.text() and secret not in str(g.api.all("/v1/audit"))
    stored = b"".join(p.read_bytes() for p in g.data_dir.glob("ireko.db*"))
    assert begun["secret"].encode() not in stored and base64.b32decode(begun["secret"]) not in stored


def test_a_manager_resets_it(house, person):
    g = house
    name, user, login = person
    secret = login.post("/v1/me/totp", {"password": PASSWORD})["secret"]
    assert login.request("POST", "/v1/me/totp/confirm", {"totp": code(secret)}).status == 204
    operator = g.anonymous.bearer(g.api.post("/v1/tokens", {"name": "o", "role": "operator"})["token"])
    admin = g.api.get("/v1/me")["user"]["id"]
    problem(login.request("DELETE", f"/v1/users/{user['id']}/totp"), 403)
    problem(operator.request("DELETE", f"/v1/users/{admin}/totp"), 403)
    problem(operator.request("DELETE", "/v1/users/usr_" + "0" * 26 + "/totp"), 404)
    operator.delete(f"/v1/users/{user['id']}/totp")
    assert attempt(g, name).status == 200
    assert [(r["action"], r["outcome"]) for r in g.api.all(f"/v1/audit?object={user['id']}")][:2] == [
        ("totp.reset", "ok"), ("totp.reset", "denied")]


def test_codes_are_no_guessing_game(house, person):
    """Ten wrong codes, and the account waits, with the right one too."""
    g = house
    name, _, login = person
    secret = login.post("/v1/me/totp", {"password": PASSWORD})["secret"]
    assert login.request("POST", "/v1/me/totp/confirm", {"totp": code(secret)}).status == 204
    answers = [attempt(g, name, totp=wrong_code(secret)).status for _ in range(11)]
    assert answers == [401] * 10 + [429]
    a = attempt(g, name, totp=code(secret, 1))
    assert a.status == 429 and int(a.headers["Retry-After"]) > 0
