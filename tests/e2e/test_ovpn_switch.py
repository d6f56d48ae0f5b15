"""One device, both protocols: it goes from OpenVPN to WireGuard and back, and keeps its address and its counters."""
import kinds
import topology
from poll import until


def carried(g, device):
    s = g.api.get(f"/v1/devices/{device['id']}")["status"]
    return s["rx_bytes"], s["tx_bytes"]


def use(g, device, tunnel, kind, before):
    """Sends some through the tunnel; the counters went on from where they were: their new values."""
    assert (tunnel.address4, tunnel.address6) == (device["address4"], device["address6"])
    up, down = g.stream(tunnel, size=1000).wait_flowing(packets=1000).stop()
    sent = up.received * 1028, down.received * 1028

    def counted():
        now = carried(g, device)
        return all(b + n <= a for a, b, n in zip(now, before, sent)) and now
    after = until(counted, 5, f"counters go on from {before}")
    # What else there was is pings and the like.
    assert all(a - b <= n * 1.05 + 20_000 for a, b, n in zip(after, before, sent)), (before, after, sent)
    s = until(lambda: (s := g.session_of(device)) and s["protocol"] == kind.protocol and s, 3, f"{kind} is shown")
    assert s["transport"] == kind.transport
    assert g.api.get(f"/v1/devices/{device['id']}")["status"]["protocol"] == kind.protocol
    return after


def test_there_and_back(gateway):
    g = gateway()
    user = g.user("person")
    device = g.device(user, "phone")
    issued = {p: g.credential(device, p) for p in ("openvpn", "wireguard")}
    counters, sessions = carried(g, device), set()
    for kind in (kinds.UDP, kinds.WIREGUARD, kinds.TCP, kinds.UDP):
        tunnel = g.client(issued[kind.protocol], **kind.options)
        counters = use(g, device, tunnel, kind, counters)
        assert len([s for s in g.api.all("/v1/sessions") if s["device_id"] == device["id"]]) == 1
        sessions.add(g.session_of(device)["id"])
        tunnel.remove()
    assert len(sessions) == 4


def test_the_newest_wins(gateway):
    """Both at once: whoever came last has the tunnel; the OpenVPN client is told so, and does not come back."""
    g = gateway()
    device = g.device(g.user("person"), "phone")
    issued = {p: g.credential(device, p) for p in ("openvpn", "wireguard")}
    first = g.client(issued["openvpn"], transport="udp")
    second = g.client(issued["wireguard"])
    until(lambda: first.refusal() is not None and not first.alive(), 5, "the first client is told")
    assert "taken over" in first.refusal()
    s = g.session_of(device)
    assert s["protocol"] == "wireguard" and second.ping(topology.INTERNET4, count=5)
    # The same from one OpenVPN client to another, which may have the same credential.
    third = g.client(issued["openvpn"], transport="tcp")
    assert g.session_of(device)["protocol"] == "openvpn"
    fourth = g.client(issued["openvpn"], transport="udp")
    until(lambda: not third.alive(), 5, "the third client is told")
    assert fourth.ping(topology.INTERNET6, count=5) and fourth.alive()
