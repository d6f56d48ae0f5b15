"""Outer IPv4 and outer IPv6, and a client that moves."""
import pytest

import kinds
import topology
import traffic
from poll import until

SIZE = 60 * 10**6


@pytest.fixture(params=[kinds.WIREGUARD, kinds.UDP], ids=str)
def kind(request):
    return request.param


@pytest.fixture(params=["outer IPv4", "outer IPv6"])
def outer(request, kind, gateway):
    six = request.param.endswith("6")
    g = gateway(endpoint=topology.SERVER6 if six else topology.SERVER4)
    g.six = six
    g.laptop, g.tunnel = g.connected("laptop", kind)
    return g


def address_of(ns, six):
    return f"[{ns.address6}]" if six else ns.address4


def names_server(tunnel, kind, server):
    """The profile names it: the client was given nothing else."""
    if kind == kinds.WIREGUARD:
        return tunnel.values("Endpoint") == [f"[{server}]:51820" if ":" in server else f"{server}:51820"]
    return tunnel.values("remote")[0] == [server, "1194", "udp"]


def test_moves_mid_download(outer, kind, figure):
    """New address and new port while a download runs; its TCP connection lives and loses nothing."""
    g, ns, six = outer, outer.tunnel.ns, outer.six
    assert names_server(g.tunnel, kind, topology.SERVER6 if six else topology.SERVER4)
    assert g.tunnel.ping(topology.INTERNET4) and g.tunnel.ping(topology.INTERNET6)
    before = until(lambda: g.session_of(g.laptop), 3, "session")
    assert before["endpoint"] == f"{address_of(ns, six)}:{g.tunnel.port()}"
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
            g.tunnel.move_port(new_port)

    web = g.own(traffic.WebServer(g.net.internet, SIZE))
    host6 = topology.INTERNET6 if six else topology.INTERNET4
    handshakes = g.tunnel.attempts()
    assert traffic.download(ns, host=host6, progress=move) == (SIZE, web.sha256)
    assert moves, "the client moved while the download ran"
    figure("moved after", f"{moves[0][0] // 10**6} of {SIZE // 10**6} MB, new handshakes "
                          f"{g.tunnel.attempts() - handshakes}")
    endpoint = f"[{fresh}]:{new_port}" if six else f"{fresh}:{new_port}"
    after = until(lambda: (s := g.session_of(g.laptop)) and s["endpoint"] == endpoint and s, 5,
                  f"session list shows {endpoint}")
    assert after["id"] == before["id"], "it is the same session"
    assert g.api.get(f"/v1/devices/{g.laptop['id']}")["status"]["endpoint"] == endpoint
    # And back the other way: the server reaches the client at its new place.
    assert g.tunnel.ping(topology.INTERNET4, count=5)
