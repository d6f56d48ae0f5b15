"""The API behind a real Caddy with the Caddyfile that is shipped: what people see of it is as it is without, and who they are
gets through; what they claim to be does not.

    mallory (192.0.2.66) --.
    alice (198.18.0.7)   --+-- TLS -- Caddy (203.0.113.10) -- TLS -- control plane (203.0.113.1)
"""
import json
import pathlib
import shutil
import ssl
import subprocess
import time

import pytest

import daemons
import topology
from house import fresh
from poll import until
from rest import Rest
from sse import Stream

NAME, PROXY = "vpn.example.test", "203.0.113.10"
ALICE, MALLORY = "198.18.0.7", "192.0.2.66"
FRONT = {ALICE: "198.18.0.1", MALLORY: "192.0.2.1"}  # what Caddy's name is for them
CLAIMED = "198.51.100.99"  # what clients say that they are
# The same file without the rest of the world: no public authority, and the machine's own trust stays as it is.
OPTIONS = "local_certs\nskip_install_trust\nadmin off"
# Port 443 of a user's, as in its container.
AS_NOBODY = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--no-new-privs",
             "--inh-caps", "+net_bind_service", "--ambient-caps", "+net_bind_service"]


class Proxied:
    """A gateway with Caddy in front, and people on networks of their own."""

    def __init__(self, gateway):
        self.gateway, net = gateway, gateway.net
        self.ns = net.client()
        assert self.ns.address4 == PROXY
        self.ns.knows("controlplane", topology.SERVER4)
        self.dir = gateway.dir / "caddy"
        self.dir.mkdir()
        shutil.copy(daemons.ROOT / "docker/caddy/Caddyfile", self.dir)
        for path in (self.dir, self.dir / "Caddyfile"):
            shutil.chown(path, "nobody", "nogroup")
        self.caddy = daemons.Daemon(
            "caddy", self.ns, pathlib.Path("/usr/bin/caddy"),
            [*AS_NOBODY, "caddy", "run", "--config", self.dir / "Caddyfile"],
            {"PATH": "/usr/bin:/bin", "HOME": str(self.dir), "XDG_DATA_HOME": str(self.dir / "data"),
             "XDG_CONFIG_HOME": str(self.dir / "config"), "IREKO_ENDPOINT": NAME, "IREKO_PROXY_OPTIONS": OPTIONS},
            gateway.dir / "caddy.log").start()
        gateway.own(self.caddy)
        self.root = self.dir / "data/caddy/pki/authorities/local/root.crt"
        until(lambda: "serving initial configuration" in self.caddy.text() and self.root.exists(), 10, "Caddy serves")
        self.tls = ssl.create_default_context(cafile=self.root)
        self.homes = {address: self.home(address, front) for address, front in FRONT.items()}

    def home(self, address, front):
        """A machine with a cable to the proxy's."""
        ns = self.gateway.net.client()
        self.ns.ip("link", "add", f"front{ns.number}", "type", "veth", "peer", "name", "eth1", "netns", ns.name)
        for at, device, own in ((self.ns, f"front{ns.number}", front), (ns, "eth1", address)):
            topology.add_address(at, device, f"{own}/24")
            at.ip("link", "set", device, "up")
        return ns

    def people(self, address):
        """Somebody there, over Caddy."""
        return Rest(self.homes[address], 443, NAME, tls=self.tls, address=FRONT[address])

    def rows(self, **filters):
        return self.gateway.api.get("/v1/audit?limit=200&" + "&".join(f"{k}={v}" for k, v in filters.items()))["items"]


@pytest.fixture(scope="module")
def proxied(module_gateway):
    p = Proxied(module_gateway(https=True, env={"IREKO_TRUSTED_PROXIES": PROXY}))
    yield p
    said = [json.loads(line) for line in p.caddy.text().splitlines() if line.startswith("{")]
    assert said and not [s for s in said if s["level"] in ("error", "fatal", "panic")], p.caddy.tail()


def test_dashboard_and_login(proxied):
    alice = proxied.people(ALICE)
    page = alice.request("GET", "/", headers={"Accept-Encoding": "gzip, deflate, br, zstd"})
    assert page.status == 200 and page.headers["Content-Encoding"] == "gzip" and "Content-Security-Policy" in page.headers
    answer = alice.request("POST", "/v1/login", {"username": "admin", "password": daemons.ADMIN_PASSWORD},
                           headers={"Origin": f"https://{NAME}"})
    cookie = answer.headers["Set-Cookie"]
    assert answer.status == 200 and cookie.startswith("__Host-ireko=") and "Secure" in cookie
    me = alice.as_({"Cookie": cookie.split(";")[0], "X-CSRF-Token": answer.json["csrf_token"],
                    "Origin": f"https://{NAME}", "Accept-Encoding": "identity"})
    made = me.request("POST", "/v1/users", {"name": fresh("behind")})
    assert made.status == 201
    path = f"/v1/users/{made.json['id']}"
    # Entity tags are those of the service, whatever a browser takes.
    tag = me.request("GET", path, headers={"Accept-Encoding": "gzip, zstd"}).headers["ETag"]
    assert tag == made.headers["ETag"]
    assert me.request("PATCH", path, {"display_name": "B"}, {"If-Match": tag}).status == 200
    assert me.request("PATCH", path, {"display_name": "C"}, {"If-Match": tag}).status == 412
    device = me.post("/v1/devices", {"user_id": made.json["id"], "name": "laptop"})
    link = me.post(f"/v1/devices/{device['id']}/invites", {"protocol": "wireguard"})["url"]
    assert link.startswith(f"https://{NAME}/i/")
    opened = alice.request("POST", link.removeprefix(f"https://{NAME}"), headers={"Accept": "application/json"})
    assert opened.status == 200 and "[Interface]" in opened.json["profile"]
    # From another site.
    assert me.request("POST", "/v1/users", {"name": "x"}, {"Origin": "https://evil.example"}).status == 403
    assert me.request("POST", "/v1/logout").status == 204
    assert me.request("GET", "/v1/me").status == 401
    mine = proxied.rows()
    begun = next(i for i, r in enumerate(mine) if r["object"] == made.json["id"] and r["action"] == "user.create")
    assert {r["action"] for r in mine[:begun + 2]} >= {"login", "user.patch", "device.create", "invite.create", "logout"}
    assert {r["from"] for r in mine[:begun + 2]} == {ALICE}


def test_http2_and_plain_http(proxied):
    """What browsers speak, and where somebody comes who types the bare name."""
    ns = proxied.homes[ALICE]

    def curl(*argv):
        return ns.run("curl", "--silent", "--show-error", "--cacert", proxied.root, "--output", "/dev/null",
                      "--resolve", f"{NAME}:443:{FRONT[ALICE]}", "--resolve", f"{NAME}:80:{FRONT[ALICE]}", *argv)

    look = ["--write-out", "%{http_code} %{http_version} %{redirect_url}"]
    assert curl("--http2", *look, f"https://{NAME}/").split() == ["200", "2"]
    assert curl("--http2", *look, "--json", json.dumps({"username": "admin", "password": daemons.ADMIN_PASSWORD}),
                f"https://{NAME}/v1/login").split() == ["200", "2"]
    assert curl(*look, f"http://{NAME}/").split() == ["308", "1.1", f"https://{NAME}/"]


def test_events_come_as_they_happen(proxied):
    g = proxied.gateway
    alice = proxied.people(ALICE).as_({**g.api.auth, "Accept-Encoding": "gzip, deflate, br, zstd"})
    stream = g.own(Stream(alice, "?types=device.changed"))
    assert stream.status == 200 and stream.headers["Content-Encoding"] is None
    stream.wait("hello", 1)
    user = g.user(fresh("seen"))
    for i in range(3):
        made = time.monotonic()
        device = g.device(user, f"device-{i}")
        event = stream.wait("device.changed", 1, lambda e: e.data["device_id"] == device["id"])
        assert event.at - made < 1


def test_one_client_locks_out_nobody_else(proxied):
    """Thirty wrong passwords are a network's; what it writes into the header gains it nothing."""
    g, mallory, alice = proxied.gateway, proxied.people(MALLORY), proxied.people(ALICE)
    right = {"username": "admin", "password": daemons.ADMIN_PASSWORD}
    statuses = []
    while not statuses or statuses[-1] == 401:
        n = len(statuses)
        assert n < 40, "nobody is ever refused"
        headers = {"X-Forwarded-For": f"{CLAIMED}, 10.9.{n}.1", "X-Real-IP": CLAIMED, "Forwarded": f"for={CLAIMED}"}
        statuses.append(mallory.request("POST", "/v1/login", {"username": f"nobody-{n}", "password": "guess"}, headers).status)
    assert statuses == [401] * 30 + [429]
    assert mallory.request("POST", "/v1/login", right).status == 429
    assert alice.request("POST", "/v1/login", right).status == 200
    assert g.anonymous.request("POST", "/v1/login", right).status == 200
    guesses = [r for r in proxied.rows(action="login") if r["outcome"] in ("failed", "limited")]
    assert len(guesses) >= 31 and {r["from"] for r in guesses} == {MALLORY}


def test_what_a_client_claims_is_not_written_down(proxied):
    """Neither through the proxy nor past it, and nobody becomes local by it."""
    g = proxied.gateway
    home = proxied.homes[ALICE]
    past = Rest(home, daemons.HTTPS_PORT, topology.SERVER4, tls=ssl._create_unverified_context())
    for way, address in ((proxied.people(ALICE), ALICE), (past, home.address4)):
        for claim in (CLAIMED, "127.0.0.1", PROXY, f"{CLAIMED}, {PROXY}", "", "unknown", "," * 200, "[::1]:80"):
            a = way.request("POST", "/v1/users", {"name": fresh("claims")},
                            {**g.api.auth, "X-Forwarded-For": claim, "X-Real-IP": claim})
            assert a.status == 201
            row, = proxied.rows(object=a.json["id"])
            assert row["from"] == address, claim
            assert way.request("GET", "/metrics", headers={"X-Forwarded-For": claim}).status == 401
            assert way.request("GET", "/metrics", headers={**g.api.auth, "X-Forwarded-For": claim}).status == 200
    assert past.request("GET", "/metrics", headers={"Host": "localhost"}).status == 401
    # A field that the connection is said to end with, so that the proxy would take its own away again.
    a = proxied.people(ALICE).request("POST", "/v1/users", {"name": fresh("claims")},
                                      {**g.api.auth, "Connection": "close, X-Forwarded-For", "X-Forwarded-For": CLAIMED})
    row, = proxied.rows(object=a.json["id"])
    assert row["from"] == ALICE
    # Here itself, and it says so by itself.
    assert g.anonymous.request("GET", "/metrics").status == 200
    assert g.anonymous.request("GET", "/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status == 401
    check = subprocess.run([*g.ns.prefix(), g.controlplane.program, "--healthcheck"], env=g.controlplane.env,
                           capture_output=True, text=True, timeout=10)
    assert check.returncode == 0, check.stderr
    assert CLAIMED not in json.dumps(proxied.rows())
