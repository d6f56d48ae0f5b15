"""Invites: a link that gives one device's profile to whoever presses its button first, and to nobody else."""
import base64
import concurrent.futures
import html
import itertools
import re
import time

import pytest

from client import Client
from poll import until

_names = itertools.count()
BUTTON = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def g(api_server):
    return api_server


@pytest.fixture
def device(g):
    name = f"invited-{next(_names)}-{time.time_ns() % 10**9}"
    return g.device(g.user(name), name)


def invite(g, device, **fields):
    """(the invite, the path of its link)"""
    a = g.api.request("POST", f"/v1/devices/{device['id']}/invites", {"protocol": "wireguard", **fields})
    assert a.status == 201, a
    made = a.json
    assert a.headers["Location"] == f"/v1/invites/{made['id']}"
    found = re.fullmatch(rf"http://127\.0\.0\.1:{g.http_port}(/i/[A-Za-z0-9_-]{{43}})", made["url"])
    assert found, made["url"]
    return made, found.group(1)


def credentials(g, device):
    return g.api.get(f"/v1/devices/{device['id']}")["credentials"]


def press(g, path, headers=BUTTON, body=b""):
    return g.anonymous.request("POST", path, body, headers)


def stable(answer):
    """An answer without what tells the time."""
    return (answer.status, sorted((k, v) for k, v in answer.headers.items() if k != "Date"), answer.body)


def test_looking_burns_nothing_and_the_button_connects(g, device):
    made, path = invite(g, device)
    for method in ("GET", "HEAD", "GET"):
        page = g.anonymous.request(method, path)
        assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["Cache-Control"] == "no-store" and page.headers["Referrer-Policy"] == "no-referrer"
    text = page.body.decode()
    assert '<form method="post">' in text and "<script" not in text and "style=" not in text
    assert g.anonymous.request("GET", "/invite.css").headers["Content-Type"] == "text/css; charset=utf-8"
    assert credentials(g, device) == []
    # As a browser does it: our page sends no referrer, so the origin of its form is null.
    a = press(g, path, {**BUTTON, "Origin": "null", "Sec-Fetch-Site": "same-origin"})
    assert a.status == 200 and a.headers["Cache-Control"] == "no-store", a
    text = a.body.decode()
    profile = html.unescape(re.search(r"<pre[^>]*>(.*?)</pre>", text, re.S).group(1))
    saved = re.search(r'download="([^"]+)" href="data:application/octet-stream;base64,([^"]+)"', text)
    assert base64.b64decode(saved.group(2)).decode() == profile and saved.group(1).endswith(".conf")
    svg = base64.b64decode(re.search(r"data:image/svg\+xml;base64,([^\"]+)", text).group(1))
    assert svg.startswith(b"<svg ")
    credential, = credentials(g, device)
    assert g.api.get(f"/v1/invites/{made['id']}")["credential_id"] == credential["id"]
    tunnel = g.own(Client(g.net.client(), profile)).start().connect()
    until(lambda: g.session_of(device), 5, "its session")
    tunnel.stop()


def test_all_that_are_not_valid_look_the_same(g, device):
    _, good = invite(g, device)
    _, used = invite(g, device)
    assert press(g, used).status == 200
    end = int(time.time()) + 2
    _, expired = invite(g, device, expires_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end)))
    withdrawn, gone = invite(g, device)
    g.api.delete(f"/v1/invites/{withdrawn['id']}")
    until(lambda: time.time() > end, 5, "its time")
    never = "/i/" + "A" * 43
    assert len({stable(g.anonymous.request("GET", p))[2] for p in (good, used, expired, gone, never, "/i/x")}) == 1
    for headers in (BUTTON, JSON):
        answers = [press(g, p, headers, b"") for p in (used, expired, gone, never)]
        assert [a.status for a in answers] == [404] * 4
        assert all(stable(a) == stable(answers[0]) for a in answers)
    assert len(credentials(g, device)) == 1
    a = press(g, good, JSON, None)
    assert a.status == 200 and set(a.json) == {"profile", "profile_filename", "qr_svg"}
    assert a.json["profile"].startswith("[Interface]") and a.json["qr_svg"].startswith("<svg ")


def test_a_hundred_at_once(g, device, figure):
    _, path = invite(g, device)
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: press(g, path), range(100)))
    statuses = sorted(a.status for a in answers)
    figure("100 opens of one invite", f"{statuses.count(200)} profile, {statuses.count(404)} no longer valid")
    assert statuses == [200] + [404] * 99
    assert len({a.body for a in answers}) == 2
    assert len(credentials(g, device)) == 1


def test_the_button_is_on_our_own_page(g, device):
    _, path = invite(g, device)
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
                    {"Sec-Fetch-Site": "same-site"}):
        assert press(g, path, {**BUTTON, **headers}).status == 403
    assert press(g, path, {"Content-Type": "application/json"}, b"{}").status == 415
    assert press(g, path, {"Content-Type": "text/plain"}, b"x").status == 415
    assert credentials(g, device) == []
    assert press(g, path, BUTTON, b"a=b").status == 200


def test_who_may(g, device):
    made, path = invite(g, device)
    name = f"stranger-{next(_names)}-{time.time_ns() % 10**9}"
    g.api.post("/v1/users", {"name": name, "password": "correct horse battery"})
    stranger = g.anonymous.login(name, "correct horse battery")
    own = stranger.post("/v1/devices", {"name": "own"})
    stranger.post(f"/v1/devices/{own['id']}/invites", {"protocol": "openvpn"})
    for method, where, body in (("POST", f"/v1/devices/{device['id']}/invites", {"protocol": "wireguard"}),
                                ("GET", f"/v1/devices/{device['id']}/invites", None),
                                ("GET", f"/v1/invites/{made['id']}", None), ("DELETE", f"/v1/invites/{made['id']}", None)):
        assert stranger.request(method, where, body).status == 404, where
        assert g.anonymous.request(method, where, body).status == 401, where
    listed, = g.api.all(f"/v1/devices/{device['id']}/invites")
    assert listed["id"] == made["id"] and "url" not in listed and path[3:] not in str(listed)
    a = g.api.request("POST", f"/v1/devices/{device['id']}/invites",
                      {"protocol": "wireguard", "expires_at": "2999-01-01T00:00:00Z"})
    assert a.status == 422 and a.json["errors"][0]["field"] == "expires_at"
    g.api.patch(f"/v1/devices/{device['id']}", {"enabled": False})
    g.api.patch(f"/v1/devices/{device['id']}", {"enabled": True})
    assert press(g, path).status == 404


def test_openvpn(g, device):
    _, path = invite(g, device, protocol="openvpn")
    a = press(g, path, JSON)
    assert a.status == 200 and a.json["profile_filename"].endswith(".ovpn") and "<tls-crypt-v2>" in a.json["profile"]


def test_guessing_and_what_is_left_behind(gateway):
    """Last: whoever guesses is shut out for a minute. And no link is anywhere but in the answer that made it."""
    g = gateway()
    device = g.device(g.user("guessed"), "laptop")
    made, path = invite(g, device)
    _, used = invite(g, device)
    profile = press(g, used, JSON).json["profile"]
    statuses = [press(g, f"/i/guess-{n}").status for n in range(31)]
    assert statuses == [404] * 30 + [429]
    a = press(g, path)
    assert a.status == 429 and 0 < int(a.headers["Retry-After"]) <= 60 and b"Too many" in a.body
    assert g.anonymous.request("GET", path).status == 200
    audit = g.api.request("GET", "/v1/audit?limit=500").body.decode()
    assert "invite.create" in audit and "invite.open" in audit
    g.controlplane.stop()
    secrets = [path[3:], used[3:], re.search(r"PrivateKey = (\S+)", profile).group(1)]
    places = {"log": g.controlplane.text().encode(), "audit": audit.encode()}
    places |= {p.name: p.read_bytes() for p in g.data_dir.iterdir()}
    for name, data in places.items():
        for secret in secrets:
            assert secret.encode() not in data, f"{name} holds a secret"
    g.controlplane.start()
    g.wait_ready()
    assert press(g, path).status == 200
