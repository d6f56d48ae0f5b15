"""The dataplane is killed and started under a stream, with OpenVPN clients: traffic within 5 s (10 s when nobody has
their TLS sessions any more), and no key is ever used twice with the same packet id."""
import contextlib
import sqlite3

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


def is_farewell(packet):
    """Sealed by a dataplane for the time after its end: the last packet id there is, and nothing but OCC_EXIT."""
    _, _, to_server, p = packet
    return not to_server and capture.opcode(p) == "DATA_V2" and p[4:8] == b"\xff\xff\xff\xff" and len(p) == 41


def stored_farewells(g):
    with contextlib.closing(sqlite3.connect(f"file:{g.data_dir}/ireko.db?mode=ro", uri=True)) as db:
        return [f for f, in db.execute("SELECT farewell FROM device_state WHERE was_up AND length(farewell) > 0")]


@pytest.mark.parametrize("together", [False, True], ids=["dataplane-later", "both-at-once"])
def test_nobody_has_its_tls_session(gateway, figure, together):
    """The control plane is restarted and then the dataplane killed, or both are killed at once: the client is told all the
    same, once or twice, by what the old dataplane has sealed. Its profile has TCP as well; it comes back by UDP."""
    g = gateway(nice=-10)
    _, device, issued = g.provision("laptop", protocol="openvpn")
    tunnel = g.client(issued, nice=-10)
    [stored] = until(lambda: stored_farewells(g), 5, "it is stored")
    wire = g.own(capture.Capture(g.ns, "outer0", "udp port 1194"))
    stream = g.stream(tunnel).wait_flowing(packets=1000)
    g.controlplane.kill()
    if not together:
        g.controlplane.start()
        g.wait_ready()
        until(lambda: g.session_of(device), 3, "the new control plane has found the session")
    g.dataplane.kill()
    g.dataplane.start()
    if together:
        g.controlplane.start()
    started = max(d.started for d in g.daemons)
    for end in stream.ends():
        until(lambda: end.last_received() > started, 20, "packets flow again")
    up, down = stream.stop()
    packets = wire.stop().openvpn()
    again_after(figure, [started], up, down, 10)
    farewells = [p[3] for p in packets if is_farewell(p)]
    figure("farewells", len(farewells))
    assert 1 <= len(farewells) <= 2 and set(farewells) == {stored}
    # Said twice it is the same packet; beside it, nothing has its packet id.
    others = [p for p in packets if not is_farewell(p)]
    no_nonce_twice(figure, others + [next(p for p in packets if is_farewell(p))])
    assert tunnel.found(r"SIGUSR1\[soft,(\S+)\] received") == ["remote-exit"] and len(resets(packets)) == 1
    s = until(lambda: g.session_of(device), 3, "session is listed again")
    assert s["protocol"] == "openvpn" and s["transport"] == "udp"
    [fresh] = until(lambda: (f := stored_farewells(g)) and f != [stored] and f, 5, "the new tunnel's is stored")
    assert fresh != stored


def test_both_killed_over_tcp(gateway):
    """Control plane and dataplane at once: its connection is cut, so that it comes back at once."""
    g = gateway()
    device, tunnel = g.connected("laptop", kinds.TCP)
    for d in g.daemons:
        d.kill()
    for d in g.daemons:
        d.start()
    g.wait_ready()
    until(lambda: tunnel.ping("198.51.100.2", seconds=1), 15, "the client is back")
    until(lambda: g.session_of(device), 3, "session is listed again")
