"""The dataplane is killed and started under a stream, with OpenVPN clients: traffic within 5 s, and no key
is ever used twice with the same packet id."""
import pytest

import capture
import kinds
from poll import until
from test_dataplane_restart import again_after, restart


def no_nonce_twice(figure, packets):
    count = capture.ovpn_nonces(packets)
    figure("nonces", f"{len(count)} (key, packet id) pairs on the wire")
    twice = {k: n for k, n in count.items() if n > 1}
    assert not twice, f"used twice: {list(twice.items())[:5]}"
    assert not [k for k in count if k[5] == b"\0\0\0\0"], "packet id 0 is never used"
    return count


def resets(packets):
    """Session ids that clients began with."""
    return {p[1:9] for _, _, to_server, p in packets if to_server and capture.opcode(p) == "HARD_RESET_CLIENT_V3"}


@pytest.mark.parametrize("kind", kinds.OPENVPN, ids=str)
def test_kill_and_start(gateway, figure, kind):
    g = gateway(nice=-10)
    device, tunnel = g.connected("laptop", kind, nice=-10)
    wire = g.own(capture.Capture(g.ns, "outer0", "port 1194", snaplen=capture.WHOLE[kind.transport]))
    stream = g.stream(tunnel).wait_flowing(packets=1000)
    starts = []
    for _ in range(2):
        starts.append(restart(g, stream))
        stream.wait_flowing(packets=3000)
    up, down = stream.stop()
    packets = wire.stop().openvpn()
    again_after(figure, starts, up, down, 5)
    # (Over TCP some of what a client sends first is in segments that the capture did not see whole.)
    assert len(no_nonce_twice(figure, packets)) > 10_000
    # The client was told (or its connection was cut) each time, and began anew.
    assert len(resets(packets)) >= len(starts)
    assert up.duplicates == down.duplicates == 0
    s = until(lambda: g.session_of(device), 3, "session is listed again")
    assert s["protocol"] == "openvpn" and s["endpoint"].startswith(tunnel.ns.address4)
    assert tunnel.ping("198.51.100.2", count=5)


def test_both_killed(gateway):
    """Control plane and dataplane at once: nobody is left who could tell a client. Over TCP its connection is cut, so
    that it comes back at once; over UDP it notices when it has heard nothing for a minute, as with a stock server."""
    g = gateway()
    device, tunnel = g.connected("laptop", kinds.TCP)
    for d in g.daemons:
        d.kill()
    for d in g.daemons:
        d.start()
    g.wait_ready()
    until(lambda: tunnel.ping("198.51.100.2", seconds=1), 15, "the client is back")
    until(lambda: g.session_of(device), 3, "session is listed again")
