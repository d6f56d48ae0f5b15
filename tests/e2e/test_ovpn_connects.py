"""Stock OpenVPN clients of all kinds: over UDP and TCP, outer IPv4 and IPv6, each cipher, TLS 1.2 and 1.3, and
with settings that are odd but legal. Each connects and carries packets, or is told clearly why not."""
import pytest

import kinds
import ovpn_client
import ovpn_pki
import topology
from poll import until

CIPHERS = ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"]


@pytest.fixture(scope="module")
def served(module_gateway):
    return module_gateway()


@pytest.fixture(scope="module")
def served6(module_gateway):
    return module_gateway(endpoint=topology.SERVER6)


def carries(g, device, tunnel):
    """Packets of both families and of full size pass, and the session is listed."""
    for host in (topology.INTERNET4, topology.INTERNET6):
        assert tunnel.ping(host, count=3), f"{host}\n{tunnel.tail()}"
    s = until(lambda: g.session_of(device), 3, "session is listed")
    assert s["protocol"] == "openvpn"
    return s


@pytest.mark.parametrize("kind", kinds.OPENVPN, ids=str)
@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("cipher", CIPHERS)
def test_each_cipher_and_tls_version(served, cipher, tls, kind):
    g = served
    device, tunnel = g.connected(f"{cipher}-{tls}-{kind}", kind,
                                 options=["--data-ciphers", cipher, "--tls-version-max", tls])
    assert tunnel.cipher() == cipher and tunnel.tls_version() == tls
    s = carries(g, device, tunnel)
    assert (s["transport"], s["cipher"].upper(), s["tls_version"]) == (kind.transport, cipher, f"TLSv{tls}")
    tunnel.remove()


@pytest.mark.parametrize("kind", kinds.OPENVPN, ids=str)
def test_outer_ipv6(served6, kind):
    device, tunnel = served6.connected(f"six-{kind}", kind)
    s = carries(served6, device, tunnel)
    assert s["endpoint"] == f"[{tunnel.ns.address6}]:{tunnel.port()}" and s["transport"] == kind.transport
    tunnel.remove()


def test_tcp_is_the_fallback(served):
    """Where UDP does not get through, the unedited profile connects over TCP by itself."""
    g = served
    _, device, issued = g.provision("behind-a-wall", protocol="openvpn")
    ns = g.net.client()
    ns.run("nft", "table inet wall { chain out { type filter hook output priority filter; udp dport 1194 drop; }; }")
    tunnel = g.stock(issued, ns).start().wait_up(40).connect()
    assert carries(g, device, tunnel)["transport"] == "tcp"
    tunnel.remove()


ODD = {
    "mssfix": ["--mssfix", "1200"],
    "small tun-mtu": ["--tun-mtu", "1400"],
    "explicit-exit-notify": ["--explicit-exit-notify", "2"],
    "ciphers in another order": ["--data-ciphers", "CHACHA20-POLY1305:AES-128-GCM:AES-256-GCM"],
    "ciphers of long ago as well": ["--data-ciphers", "?BF-CBC:AES-256-CBC:AES-128-GCM"],
    "udp6": [],
    "bound": ["--lport", "1194"],
    "old --cipher": ["--cipher", "AES-256-CBC"],
    "keysize and auth of long ago": ["--auth", "SHA512"],
    "pushes peer info": ["--push-peer-info", "--setenv", "UV_NAME", "a value, with a comma"],
    "short handshake window": ["--hand-window", "10", "--tran-window", "30"],
    "own keepalive": ["--keepalive", "2", "20"],
    "no ping-restart": ["--ping-exit", "60"],
    "float": ["--float"],
    "user and password": ["--auth-user-pass", "pass.txt"],
    "passtos and fast-io": ["--passtos", "--fast-io"],
    "small control packets": ["--max-packet-size", "1000"],
    "large control packets": ["--tls-timeout", "1", "--max-packet-size", "1400"],
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_but_legal(served, odd):
    g = served
    _, device, issued = g.provision(odd.replace(" ", "-").replace(",", ""), protocol="openvpn")
    if odd == "bound":
        issued["profile"] = issued["profile"].replace("nobind\n", "bind\n")
    ahead = ["--remote", topology.SERVER6, "1194", "udp6"] if odd == "udp6" else []
    tunnel = g.stock(issued, options=ODD[odd], ahead=ahead, transport=None if ahead else "udp")
    (tunnel.dir / "pass.txt").write_text("somebody\nsecret\n")
    (tunnel.dir / "pass.txt").chmod(0o600)
    tunnel.start().connect()
    s = carries(g, device, tunnel)
    if odd == "bound":
        assert s["endpoint"] == f"{tunnel.ns.address4}:1194"
    if odd == "udp6":
        assert s["endpoint"].startswith(f"[{tunnel.ns.address6}]")
    if odd == "small tun-mtu":
        assert f"mtu {1400}" in tunnel.ns.ip("link", "show", tunnel.device) or "tun-mtu" in " ".join(tunnel.pushed())
    if odd.startswith("ciphers"):
        assert tunnel.cipher() in CIPHERS
    tunnel.remove()
    if odd == "explicit-exit-notify":
        until(lambda: g.session_of(device) is None, 3, "whoever says goodbye is gone at once")


REFUSED = {
    "only CBC": ["--data-ciphers", "AES-128-CBC", "--cipher", "AES-128-CBC"],
    "only Blowfish, as in 2010": ["--data-ciphers", "BF-CBC", "--cipher", "BF-CBC", "--providers", "legacy", "default"],
    "only AES-192": ["--data-ciphers", "AES-192-GCM"],
}


@pytest.mark.parametrize("odd", REFUSED)
def test_no_common_cipher_is_said_clearly(served, odd):
    g = served
    _, device, issued = g.provision(odd.replace(" ", "-").replace(",", ""), protocol="openvpn")
    tunnel = g.stock(issued, options=REFUSED[odd], transport="udp").start()
    reason = tunnel.wait_refused()
    assert reason and "cipher" in reason.lower(), tunnel.tail()
    assert g.session_of(device) is None
    tunnel.remove()


def test_compression_stub_of_old_profiles(served):
    """`comp-lzo no` puts a byte before every packet: such a client gets packets through, or a clear refusal."""
    g = served
    _, device, issued = g.provision("comp-lzo", protocol="openvpn")
    tunnel = g.stock(issued, options=["--comp-lzo", "no"], transport="udp").start()
    until(lambda: tunnel.up() or tunnel.refusal() is not None, 20, "an answer")
    if tunnel.up():
        tunnel.connect()
        carries(g, device, tunnel)
    else:
        assert "compress" in tunnel.refusal().lower() or "comp-lzo" in tunnel.refusal().lower()
    tunnel.remove()


@pytest.mark.parametrize("key", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_key_that_never_left_the_client(served, key):
    g = served
    device = g.device(g.user(f"owner-{key}"), f"own-{key}")
    own = ovpn_pki.new_key(key)
    issued = g.credential(device, "openvpn", csr=ovpn_pki.request(own))
    assert ovpn_client.block(issued["profile"], "key") is None and "PRIVATE KEY" not in issued["profile"]
    tunnel = g.stock(issued)
    (tunnel.dir / "own.key").write_text(ovpn_pki.pem(own))
    (tunnel.dir / "own.key").chmod(0o600)
    tunnel.options += ["--key", "own.key"]
    tunnel.start().connect()
    carries(g, device, tunnel)
    tunnel.remove()


def test_tls_crypt_without_a_key_of_its_own(gateway):
    """Profiles with one static key for all, as other servers hand them out, when the gateway is told that key. Those
    with a key of their own go on beside them."""
    static = ovpn_pki.static_key()
    file = topology.temporary() / "tls-crypt.key"
    file.write_text(static)
    file.chmod(0o644)
    g = gateway(env={"IREKO_OPENVPN_TLS_CRYPT_FILE": str(file)})
    for kind in kinds.OPENVPN:
        _, device, issued = g.provision(f"static-{kind}", protocol="openvpn")
        profile = ovpn_client.with_block(issued["profile"], "tls-crypt-v2", None)
        profile += f"<tls-crypt>\n{static}</tls-crypt>\n"
        tunnel = g.client({**issued, "profile": profile}, transport=kind.transport)
        carries(g, device, tunnel)
        tunnel.remove()
        wrong = profile.replace(static, ovpn_pki.static_key())
        stranger = g.stock({**issued, "profile": wrong}, transport=kind.transport, options=["--hand-window", "4"]).start()
        assert stranger.wait_refused() is None and stranger.attempts() == 0, "not answered at all"
        stranger.remove()
    carries(g, *g.connected("wrapped", kinds.UDP))


def test_renewed_server_certificate(gateway):
    """A restart of the control plane makes a new server certificate; profiles of before connect as ever."""
    g = gateway()
    _, device, issued = g.provision("laptop", protocol="openvpn")
    names, digests = [], []
    for _ in range(2):
        tunnel = g.stock(issued, options=["--script-security", "2", "--tls-verify", "/bin/sh verify.sh"])
        (tunnel.dir / "verify.sh").write_text('[ "$1" != 0 ] || echo "$tls_digest_sha256_0" >digest\n')
        tunnel.start().connect()
        carries(g, device, tunnel)
        names.append(tunnel.found(r"VERIFY OK: depth=0, (.*)")[-1])
        digests.append((tunnel.dir / "digest").read_text())
        tunnel.remove()
        g.restart_controlplane()
    assert names[0] == names[1], "the name that profiles pin stays"
    assert digests[0] != digests[1] and len(digests[0]) > 60
