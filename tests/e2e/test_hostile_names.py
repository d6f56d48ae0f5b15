"""Texts that want to be something else: a directive, a command, a path, a header, a log line, a tag. Each in every field
that takes text. It is refused by name or kept as it is; a profile says what it always says, the log has one line an
event, and an answer the headers that it always has."""
import re
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import contract
import topology
from house import fresh
from ovpn_client import block

# Plain text to us, though not to a shell, a browser, a file system, printf or a database.
ODD = ["$(reboot)", "`id`", "; PostUp = reboot", "# PostUp = reboot", "a=b", "[Interface]", "<key>", "</ca>", "<script>alert(1)</script>",
       "\"><img src=x onerror=alert(1)>", "'; DROP TABLE users; --", "%s%n%x", "%0d%0aSet-Cookie: a=b", "../../etc/passwd", "..", "/",
       "C:\\x", "\"quoted\"", "'", "\\", "\\n", "-rf", "--script-security 2", "{{7*7}}", "${jndi:ldap://x}", "a|b&c;d>e<f*?", "~root", "!x",
       "入れ子", "Zoë", "🔑", "name.conf", "up reboot", "null", "true", "0", "NaN", "constructor", "__proto__", "a" * 64]
# What hides, reorders or ends a line, is no text, or is too much of it.
NEVER = ["a\nPostUp = reboot", "a\r\nSet-Cookie: a=b", "a\r", "\n", "a\tb", "a\x0bb", "a\x1b[2Jb", "a\x7f", "a\x85b", "a\u2028PostUp = x",
         "a\u2029b", "a\0b", "\0", "\u202egnp.exe", "a\u2066b\u2069", "a\u200eb", "a\u061cb", "zero\u200bwidth", "\ufeffa", "a\u2060b",
         "a\U000e0041b", "\ufffe", "\ufdd0", " lead", "trail ", "x" * 10000, "é" * 5000, ""]
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn|info|debug) [a-z-]+: .*")
SAFE_FILE = re.compile(r"[A-Za-z0-9_=+.-]{1,15}\.(conf|ovpn)")


@pytest.fixture(scope="module")
def gateway(module_gateway):
    return module_gateway()


@pytest.fixture(scope="module")
def described(gateway):
    return contract.of(gateway)


def wireguard_directives(text):
    """[(section, key)] with the values of those that are not this device's own."""
    out, section = [], None
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        if line.startswith("["):
            section = line
            out.append((section,))
            continue
        key, value = (part.strip() for part in line.split("=", 1))
        own = key in ("PrivateKey", "PresharedKey", "Address")
        out.append((section, key, None if own else value))
    return out


def openvpn_directives(text):
    """Every line outside of blocks, and the blocks' names, in their order."""
    out, inside = [], None
    for line in text.splitlines():
        assert line == line.strip() and line.isascii() and line.isprintable(), repr(line)
        if inside:
            inside = None if line == f"</{inside}>" else inside
        elif m := re.fullmatch(r"<([a-z0-9-]+)>", line):
            inside = m[1]
            out.append(f"<{inside}>")
        elif line and not line.startswith("#"):
            out.append(line)
    assert inside is None
    return out


def strip(profile, filename):
    """What wg-quick makes of it under the name that came with it."""
    folder = topology.temporary() / "hostile"
    folder.mkdir(exist_ok=True)
    path = folder / filename
    path.write_text(profile)
    path.chmod(0o600)
    return topology.run("wg-quick", "strip", path)


class Expected:
    """Profiles of a device with a plain name."""

    def __init__(self, gateway, owner):
        device = gateway.device(owner, "plain")
        wireguard, openvpn = (gateway.credential(device, p) for p in ("wireguard", "openvpn"))
        self.wireguard = wireguard_directives(wireguard["profile"])
        self.stripped = wireguard_directives(strip(wireguard["profile"], wireguard["profile_filename"]))
        self.openvpn = openvpn_directives(openvpn["profile"])
        assert ("[Interface]", "PrivateKey", None) in self.stripped and "client" in self.openvpn
        assert len({d[0] for d in self.wireguard}) == 2 and {d.split()[0] for d in self.openvpn} >= {
            "remote", "remote-cert-tls", "<ca>", "<cert>", "<key>", "<tls-crypt-v2>"}

    def check(self, gateway, device):
        wireguard, openvpn = (gateway.credential(device, p) for p in ("wireguard", "openvpn"))
        assert SAFE_FILE.fullmatch(wireguard["profile_filename"]) and SAFE_FILE.fullmatch(openvpn["profile_filename"])
        assert wireguard_directives(wireguard["profile"]) == self.wireguard, device["name"]
        assert wireguard_directives(strip(wireguard["profile"], wireguard["profile_filename"])) == self.stripped, device["name"]
        assert openvpn_directives(openvpn["profile"]) == self.openvpn, device["name"]


def fields_of(described, gateway):
    """(operation, path, field, body) of every text that is kept: those without a form of their own."""
    user = gateway.user(fresh("shown"))
    device = gateway.device(user, "renamed")
    at = {"user_patch": f"/v1/users/{user['id']}", "device_patch": f"/v1/devices/{device['id']}",
          "user_create": "/v1/users", "device_create": "/v1/devices", "token_create": "/v1/tokens", "settings_patch": "/v1/settings"}
    for operation in described.operations:
        if operation.id not in at:
            continue
        for name, schema in operation.body["properties"].items():
            types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            if "string" in types and name != "password":
                body = {f: "x" for f in operation.body.get("required", ())}
                yield operation, at[operation.id], name, body


def test_every_text_field(described, gateway):
    """Refused by name and without effect, or kept to the letter."""
    owner = gateway.user(fresh("owner"))
    kept, seen, names = {}, {}, {}
    for operation, path, name, body in fields_of(described, gateway):
        for text in ODD + NEVER:
            sent = {**body, **({"user_id": owner["id"]} if operation.id == "device_create" else {}),
                    **({"name": fresh("n")} if "name" in body else {}), name: text}
            a = operation.check(gateway.api.request(operation.method, path, sent))
            seen.setdefault((operation.id, a.status), set()).add(tuple(sorted(set(a.headers.keys()))))
            if a.status in (200, 201):
                shown = a.json[name]
                assert shown == (text or None), f"{operation} {name}: {text!r} became {shown!r}"
                assert text in ODD or text == "", f"{operation} {name}: {text!r} was taken"
                kept.setdefault(f"{operation.id}.{name}", []).append(text)
                names.setdefault(operation.id, []).append(a.json)
            elif "\0" in text:
                assert a.status == 400, f"{operation} {name}: {a}"
            elif a.status == 409:
                assert text in ODD and operation.id == "user_patch", f"{operation} {name}: {text!r}: {a}"
            else:
                assert a.status == 422 and [e["field"] for e in a.json["errors"]] == [name], f"{operation} {name}: {text[:40]!r}: {a}"
    for where in ("user_create.display_name", "user_patch.display_name", "device_create.name", "device_patch.name", "token_create.name"):
        assert set(ODD) <= set(kept[where]), (where, set(ODD) - set(kept[where]))
    # What goes into profiles as it is, is a host name and addresses and nothing else.
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", t) for t in kept["settings_patch.endpoint"]), kept["settings_patch.endpoint"]
    gateway.api.patch("/v1/settings", {"endpoint": None})
    # Whatever the text was, an answer has the headers of its kind.
    for what, sets in seen.items():
        assert len(sets) == 1, (what, sets)
    stored = {d["name"] for d in gateway.api.all(f"/v1/devices?user_id={owner['id']}")}
    assert {o["name"] for o in names["device_create"]} <= stored


def test_profiles_say_what_they_always_say(gateway):
    owner = gateway.user(fresh("owner"))
    expected = Expected(gateway, owner)
    for text in ODD:
        expected.check(gateway, gateway.device(owner, text))


def test_a_certificate_request_names_nobody(gateway):
    """What its subject, and its attributes, say is nobody's word but the client's: the certificate has our names only."""
    owner = gateway.user(fresh("owner"))
    expected = Expected(gateway, owner)
    for i, text in enumerate(["admin", "a\nPostUp = reboot", "a\0b", "$(reboot)", "\u202ea", "</cert>", "CN=server"]):
        key = ec.generate_private_key(ec.SECP256R1())
        csr = (x509.CertificateSigningRequestBuilder()
               .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text), x509.NameAttribute(NameOID.ORGANIZATION_NAME, text)]))
               .add_extension(x509.SubjectAlternativeName([x509.DNSName("server")]), False)
               .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), False)
               .sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode())
        issued = gateway.credential(gateway.device(owner, f"own-key-{i}"), "openvpn", csr=csr)
        certificate = x509.load_pem_x509_certificate(block(issued["profile"], "cert").encode())
        assert text not in certificate.subject.rfc4514_string() and len(list(certificate.subject)) == 1
        assert not [e for e in certificate.extensions if isinstance(e.value, x509.SubjectAlternativeName)]
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
        assert [d for d in openvpn_directives(issued["profile"]) if d != "<key>"] == [d for d in expected.openvpn if d != "<key>"]


def test_texts_of_a_request_stay_in_it(gateway, described):
    """Names of fields, queries, ids, header values: what is quoted back is JSON, and no header grows by it."""
    usual = set(gateway.api.request("POST", "/v1/users", {"surprise": 1}).headers.keys())
    for text in ODD + [t for t in NEVER if "\0" not in t]:
        a = gateway.api.request("POST", "/v1/users", {"name": fresh("n"), text: 1} if text != "name" else {text: 1})
        assert a.status == 422 and set(a.headers.keys()) == usual
        assert text.startswith(a.json["errors"][0]["field"])
        assert b"<script" not in a.body or a.headers["Content-Type"] == contract.PROBLEM and a.headers["X-Content-Type-Options"] == "nosniff"
    for text in ODD:
        for path in (f"/v1/users/{quote(text, safe='')}", f"/v1/users?cursor={quote(text)}", f"/v1/users?{quote(text)}=1", f"/v1/{quote(text, safe='')}"):
            a = gateway.api.request("GET", path)
            assert a.status in (400, 404, 422) and a.headers["Content-Type"] == contract.PROBLEM, f"{path}: {a}"
    for text in ("a\tb", "\x80\xff", "x" * 5000, "$(reboot)", "\"", "a, b", "%0d%0aX: y"):
        for header in ("If-Match", "If-None-Match", "Idempotency-Key", "User-Agent", "X-Forwarded-For", "Origin", "Accept"):
            a = gateway.api.request("POST", "/v1/users", {"surprise": 1}, {header: text})
            assert 400 <= a.status < 500 and "X" not in a.headers


def test_one_line_an_event(gateway):
    """After all that: every line of the log is one of ours, and every device has one that says it was made."""
    log = gateway.controlplane.text()
    owner = gateway.user(fresh("owner"))
    before = len(log.splitlines())
    made = [gateway.device(owner, text) for text in ODD]
    for text in NEVER:
        assert gateway.api.request("POST", "/v1/devices", {"user_id": owner["id"], "name": text}).status in (400, 422)
    raw = gateway.controlplane.log.read_bytes()
    lines = raw.decode().split("\n")[:-1]
    bad = [line for line in lines if not LINE.fullmatch(line) or not all(c.isprintable() for c in line)]
    assert not bad, bad[:5]
    ours = lines[before:]
    for device in made:
        assert len([line for line in ours if f"device {device['id']}: created" in line]) == 1, device
    assert len([line for line in ours if ": created" in line and " device dev_" in line]) == len(made)
