"""Outer IPv4 and outer IPv6, and a client that moves."""
import pytest

import topology
import traffic
from poll import until

SIZE = 60 * 10**6


@pytest.fixture(params=["outer IPv4", "outer IPv6"])
def outer(request, gateway):
    six = request.param.endswith("6")
    g = gateway(endpoint=topology.SERVER6 if six else topology.SERVER4)
    g.six = six
    _, g.laptop, issued = g.provision("laptop")
    g.tunnel = g.client(issued)
    return g


def address_of(ns, six):
    return f"[{ns.address6}]" if six else ns.address4


def test_moves_mid_download(outer, figure):
    """New address and new port while a download runs; its TCP connection lives and loses nothing."""
    g, ns, six = outer, outer.tunnel.ns, outer.six
    server = topology.SERVER6 if six else topology.SERVER4
    host = f"[{server}]:51820" if six else f"{server}:51820"
    assert g.tunnel.values("Endpoint") == [host]
    assert g.tunnel.ping(topology.INTERNET4) and g.tunnel.ping(topology.INTERNET6)
    before = until(lambda: g.session_of(g.laptop), 3, "session")
    old_port = g.tunnel.show_interface("listen-port")
    assert before["endpoint"] == f"{address_of(ns, six)}:{old_port}"
    fresh = f"2001:db8:0:1::{0x77:x}" if six else "203.0.113.77"
    length = 64 if six else 24
    new_port = 40000 + ns.number
    moves = []

    def move(n, sock):
        if n > SIZE // 3 and not moves:
            moves.append((n, sock.getsockname(), sock.getpeername()))
            # In this order: with its primary address a subnet loses the others.
            ns.ip("address", "del", f"{ns.address6 if six else ns.address4}/{length}", "dev", "eth0")
            topology.add_address(ns, "eth0", f"{fresh}/{length}")
            g.tunnel.wg("set", g.tunnel.device, "listen-port", new_port)

    web = g.own(traffic.WebServer(g.net.internet, SIZE))
    host6 = topology.INTERNET6 if six else topology.INTERNET4
    handshakes = g.tunnel.initiations()
    assert traffic.download(ns, host=host6, progress=move) == (SIZE, web.sha256)
    assert moves, "the client moved while the download ran"
    figure("moved after", f"{moves[0][0] // 10**6} of {SIZE // 10**6} MB, new handshakes "
                          f"{g.tunnel.initiations() - handshakes}")
    endpoint = f"[{fresh}]:{new_port}" if six else f"{fresh}:{new_port}"
    after = until(lambda: (s := g.session_of(g.laptop)) and s["endpoint"] == endpoint and s, 5,
                  f"session list shows {endpoint}")
    assert after["id"] == before["id"], "it is the same session"
    assert g.api.get(f"/v1/devices/{g.laptop['id']}")["status"]["endpoint"] == endpoint
    # And back the other way: the server reaches the client at its new place.
    assert g.tunnel.ping(topology.INTERNET4, count=5)
