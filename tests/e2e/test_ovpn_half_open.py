"""Handshakes that stop half way: thousands complete the stateless start and fall silent, announce a ClientHello that is
too long, or stop in the middle of one. The control plane's memory stays bounded, others connect meanwhile, and it is all
given back."""
import socket
import time

import kinds
import ovpn_knock
import topology
from poll import until

SESSIONS, AT_ONCE = 2000, 1024    # tried; kept in all at most
SILENT_KB, HALF_KB, STARTED_KB = 4, 24, 64  # of memory for each: before its first TLS byte, in the ClientHello, after it
PROMISE = b"\x16\x03\x01\x04\x00\x01\x02\x01\x44" + bytes(600)  # the head of a ClientHello of 128 kB
SLACK_KB = 4 * 1024
IPV6_FREEBIND = 78
WINDOW = 60                       # seconds after which a handshake is given up


def address(i, six):
    """One address of a prefix of its own (/24, /64)."""
    return f"2001:db8:{0xf000 + i % 0xfff:x}:{i // 0xfff:x}::1" if six else f"100.{64 + i // 256}.{i % 256}.1"


def knock_from_everywhere(attacker, profile, payload, first=0):
    """SESSIONS handshakes, each from an address of its own: how many the server took part in."""
    knock, answered = ovpn_knock.Knock(profile), 0
    for i in range(first, first + SESSIONS):
        six = i % 4 == 3
        with attacker.socket(socket.AF_INET6 if six else socket.AF_INET) as s:
            if six:  # IPv4 takes the local route's word
                s.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            s.bind((address(i, six), 0))
            answered += knock.knock(s, (topology.SERVER6 if six else topology.SERVER4, 1194), payload, 0.5)
    return answered


def newcomers(g, n, name):
    """Seconds that stock clients need to connect."""
    took = []
    for i in range(n):
        _, client = g.connected(f"{name}-{i}", kinds.UDP, nice=-10)
        took.append(client.up_after())
        client.remove()
    return took


def test_half_open_handshakes(gateway, figure):
    g = gateway(nice=-10)
    _, _, issued = g.provision("attacker", protocol="openvpn")
    attacker = g.net.elsewhere("100.64.0.0/10", "2001:db8:f000::/36")
    g.connected("before", kinds.UDP)
    idle = g.controlplane.rss_kb()
    hello, first = ovpn_knock.client_hello(), 0
    for name, payload, each in (("silent after the cookie", b"", SILENT_KB), ("promising a long ClientHello", PROMISE, SILENT_KB),
                                ("stopped in the ClientHello", hello[:len(hello) // 2], HALF_KB)):
        start = time.monotonic()
        answered = knock_from_everywhere(attacker, issued["profile"], payload, first)
        figure(name, f"{answered} of {SESSIONS} in {time.monotonic() - start:.1f} s")
        assert answered > SESSIONS * 0.9
        first += SESSIONS
        grown = g.controlplane.rss_kb() - idle
        figure(f"{name}: memory", f"{grown} kB more than {idle} kB idle")
        assert grown < AT_ONCE * each + SLACK_KB
        took = newcomers(g, 2, name.split()[0])
        figure(f"{name}: others connect in", ", ".join(f"{t * 1000:.0f} ms" for t in took))
        assert max(took) < 2
    assert "refused: ClientHello too long" in g.controlplane.text()
    until(lambda: g.controlplane.rss_kb() <= idle * 1.1 + 1024, WINDOW + 15, "memory is given back", every=0.5)
    figure("memory afterwards", f"{g.controlplane.rss_kb()} kB, {idle} kB before")


def test_one_prefix_is_bounded(gateway, figure):
    """From one /24 no more than a few are kept, and whoever comes from elsewhere does not notice."""
    g = gateway(nice=-10)
    _, _, issued = g.provision("attacker", protocol="openvpn")
    attacker = g.net.elsewhere("100.64.0.0/24")
    knock, hello = ovpn_knock.Knock(issued["profile"]), ovpn_knock.client_hello()
    g.connected("before", kinds.UDP)
    idle = g.controlplane.rss_kb()
    for i in range(300):
        with attacker.socket() as s:
            s.bind((f"100.64.0.{1 + i % 250}", 0))
            knock.knock(s, (topology.SERVER4, 1194), hello[:100], 0.5)
    grown = g.controlplane.rss_kb() - idle
    figure("300 from one prefix", f"{grown} kB more")
    assert grown < 32 * STARTED_KB + SLACK_KB
    assert max(newcomers(g, 3, "elsewhere")) < 2
