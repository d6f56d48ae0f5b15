"""Known secrets go through everything that the API offers, at debug level; then none of them is found where
it should not be: logs, arguments, other answers, the database, what a crash would leave."""
import base64
import json
import re
import secrets
import urllib.parse
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import daemons
from house import code
from poll import until


class Canaries:
    """Secrets by name, and every spelling in which one could turn up."""

    def __init__(self):
        self.spellings = {}

    def add(self, name, value):
        raw = value.encode() if isinstance(value, str) else value
        assert len(raw) >= 12, f"{name} is too short to be told from chance"
        forms = {raw, raw.hex().encode(), raw.hex().upper().encode(), urllib.parse.quote_from_bytes(raw, safe="").encode(),
                 json.dumps(raw.decode("latin-1"))[1:-1].encode()}
        # Base64 at each of its three alignments, without what neighbours would change.
        for pad in range(3):
            text = base64.b64encode(b"\0" * pad + raw)
            forms |= {part for part in (text[4:-4], text[4:-4].translate(bytes.maketrans(b"+/", b"-_"))) if len(part) >= 12}
        self.spellings[name] = forms

    def add_key(self, name, text):
        """Base64 of a key: the text and its bytes."""
        self.add(name, text)
        self.add(f"{name} (bytes)", base64.b64decode(text))

    def found_in(self, data):
        return sorted(name for name, forms in self.spellings.items() if any(form in data for form in forms))


def block(profile, name):
    return re.search(rf"<{name}>\n(.*?)</{name}>", profile, re.S).group(1)


def pem_bytes(text):
    return base64.b64decode("".join(line for line in text.splitlines() if line and not line.startswith("-")))


def of_wireguard(canaries, name, profile):
    for field in ("PrivateKey", "PresharedKey"):
        canaries.add_key(f"{name} {field}", re.search(rf"^{field} = (\S+)$", profile, re.M).group(1))


def of_openvpn(canaries, name, profile):
    key = serialization.load_pem_private_key(block(profile, "key").encode(), None)
    canaries.add(f"{name} private key", key.private_numbers().private_value.to_bytes(32, "big"))
    wrapped = pem_bytes(block(profile, "tls-crypt-v2"))
    canaries.add(f"{name} tls-crypt-v2 key, first half", wrapped[:128])
    canaries.add(f"{name} tls-crypt-v2 key, second half", wrapped[128:256])
    for i in range(0, 256, 64):
        canaries.add(f"{name} tls-crypt-v2 key at {i}", wrapped[i:i + 32])


def arguments():
    """Command lines of every process here."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield str(path), path.read_bytes()
        except OSError:
            pass


def files(folder):
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_socket():
            yield path.name, path.read_bytes()


def readable(api):
    """Every GET without an object, and every object of every list."""
    document = api.get("/v1/openapi.json")
    answers = {}
    for path, methods in document["paths"].items():
        if "get" not in methods or "{" in path or path in ("/v1/events", "/v1/backup"):
            continue
        a = api.request("GET", path)
        assert a.status == 200, (path, a)
        answers[path] = a.body
        for item in a.json.get("items", []) if a.body.startswith(b"{") else []:
            one = api.request("GET", f"{path}/{item['id']}") if f"{path}/{{id}}" in document["paths"] else None
            if one is not None and one.status == 200:
                answers[f"{path}/{item['id']}"] = one.body
    return answers


def test_sweep(gateway):
    g = gateway()
    canaries = Canaries()
    canaries.add("admin's password", daemons.ADMIN_PASSWORD)
    canaries.add("token", g.api.auth["Authorization"].split()[1])

    # People: a password that is set, tried wrongly, changed; a login with its cookie.
    password, other, wrong = (f"canary-{what}-{secrets.token_hex(12)}" for what in ("first", "second", "wrong"))
    for name, value in (("password", password), ("changed password", other), ("wrong password", wrong)):
        canaries.add(name, value)
    user = g.api.post("/v1/users", {"name": "canary", "password": password, "role": "operator"})
    assert g.anonymous.request("POST", "/v1/login", {"username": "canary", "password": wrong}).status == 401
    login = g.anonymous.login("canary", password)
    canaries.add("cookie", login.auth["Cookie"].split("=", 1)[1])
    canaries.add("CSRF token", login.auth["X-CSRF-Token"])
    g.api.patch(f"/v1/users/{user['id']}", {"password": other})
    login = g.anonymous.login("canary", other)
    canaries.add("second cookie", login.auth["Cookie"].split("=", 1)[1])
    canaries.add("second CSRF token", login.auth["X-CSRF-Token"])
    canaries.add("second token", login.post("/v1/tokens", {"name": "canary"})["token"])
    # Garbage where secrets belong is not repeated in logs either.
    for name, headers in (("foreign token", {"Authorization": "Bearer ireko_" + secrets.token_urlsafe(32)}),
                          ("foreign cookie", {"Cookie": "ireko_login=" + secrets.token_urlsafe(32)})):
        canaries.add(name, next(iter(headers.values())).split()[-1].split("=")[-1])
        assert g.anonymous.request("GET", "/v1/me", headers=headers).status == 401
    a = g.api.request("POST", "/v1/users", {"name": "x" * 100, "password": wrong})
    assert a.status == 422 and not canaries.found_in(a.body)
    a = g.api.request("POST", "/v1/users", b'{"name": "broken", "password": "' + wrong.encode() + b'"',
                      {"Content-Type": "application/json"})
    assert a.status == 400 and not canaries.found_in(a.body)

    # Credentials of both protocols, used by real clients.
    device, issued = g.device(user, "canary-wg"), None
    issued = g.credential(device)
    of_wireguard(canaries, "WireGuard", issued["profile"])
    ovpn_device = g.device(user, "canary-ovpn")
    ovpn = g.credential(ovpn_device, "openvpn")
    of_openvpn(canaries, "OpenVPN", ovpn["profile"])
    for credential, d in ((issued, device), (ovpn, ovpn_device)):
        client = g.client(credential)
        until(lambda: g.session_of(d), 10, "session")
        client.remove()

    # A second factor, begun, confirmed and used.
    factor = login.post("/v1/me/totp", {"password": other})
    canaries.add("second factor", factor["secret"])
    canaries.add("second factor (bytes)", base64.b32decode(factor["secret"]))
    assert login.request("POST", "/v1/me/totp/confirm", {"totp": code(factor["secret"])}).status == 204
    assert g.anonymous.request("POST", "/v1/login", {"username": "canary", "password": other}).status == 401

    # An invite that waits, one that was opened; answers that may be repeated.
    for name, opened in (("waiting invite", False), ("opened invite", True)):
        url = g.api.post(f"/v1/devices/{device['id']}/invites", {"protocol": "wireguard"},
                         headers={"Idempotency-Key": f"canary {name}"})["url"]
        canaries.add(name, url.rsplit("/", 1)[1])
        assert g.anonymous.request("GET", urllib.parse.urlsplit(url).path).status == 200
        if opened:
            page = g.anonymous.request("POST", urllib.parse.urlsplit(url).path, headers={"Accept": "application/json"})
            assert page.status == 200, page
            of_wireguard(canaries, "invited", page.json["profile"])
    made = g.api.post("/v1/tokens", {"name": "repeated"}, headers={"Idempotency-Key": "canary token"})
    canaries.add("repeated token", made["token"])
    assert g.api.post("/v1/tokens", {"name": "repeated"}, headers={"Idempotency-Key": "canary token"}) == made

    places = list(arguments())
    places += [(f"log of {d.name}", d.log.read_bytes()) for d in g.daemons]
    answers = readable(g.api)
    assert len(answers) > 10
    places += answers.items()
    metrics = g.api.request("GET", "/metrics")
    assert metrics.status == 200, metrics
    places.append(("/metrics", metrics.body))
    places += [(f"data folder: {name}", data) for name, data in files(g.data_dir) if name != "master.key"]
    names = {name for name, _ in places}
    assert {"log of controlplane", "data folder: ireko.db", "data folder: ireko.db-wal"} <= names
    hits = {place: canaries.found_in(data) for place, data in places}
    assert not any(hits.values()), {place: found for place, found in hits.items() if found}
    # The sweep can find: what was handed out once does hold them.
    assert "WireGuard PrivateKey" in canaries.found_in(issued["profile"].encode())
    assert "OpenVPN tls-crypt-v2 key, first half" in canaries.found_in(pem_bytes(block(ovpn["profile"], "tls-crypt-v2")))
    assert "password" in canaries.found_in(base64.b64encode(b"x" + password.encode() + b"y"))
