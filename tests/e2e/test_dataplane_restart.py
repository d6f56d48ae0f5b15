"""The dataplane is killed and started under a stream: traffic within 2 s without the client's help, and
no key is ever used twice with the same counter."""
import capture
from poll import until


def restart(g, stream):
    """SIGKILL and start; returns when packets sent after the start arrive, both ways: the start."""
    marks = [e.received() for e in stream.ends()]
    g.dataplane.kill()
    g.dataplane.start()
    for end, mark in zip(stream.ends(), marks):
        until(lambda: any(r[1] > g.dataplane.started for r in end.records(mark)), 20, "packets flow again")
    return g.dataplane.started


def again_after(figure, starts, up, down, seconds):
    for i, started in enumerate(starts):
        for name, d in (("up", up), ("down", down)):
            again = d.first_sent_after(started) - started
            figure(f"restart {i + 1} {name}", f"{again:.2f} s")
            assert again < seconds, name


def no_key_twice(figure, datagrams):
    count = capture.nonces(datagrams)
    figure("nonces", f"{len(count)} (key, counter) pairs on the wire")
    twice = {k: n for k, n in count.items() if n > 1}
    assert not twice, f"used twice: {list(twice.items())[:5]}"
    ephemerals = [d[5][8:40] for d in capture.handshakes(datagrams, 1)]
    ephemerals += [d[5][12:44] for d in capture.handshakes(datagrams, 2)]
    assert len(set(ephemerals)) == len(ephemerals), "an ephemeral key came twice"
    return len(count)


def calls(datagrams):
    """Initiations that the server sent."""
    return [d for d in capture.handshakes(datagrams, 1) if d[2] == 51820]


def test_kill_and_start(gateway, figure):
    g = gateway(nice=-10)
    _, device, issued = g.provision("laptop")
    tunnel = g.client(issued, nice=-10)
    wire = g.own(capture.Capture(g.ns, "outer0", "udp port 51820", snaplen=192))
    stream = g.stream(tunnel).wait_flowing(packets=1000)
    starts = []
    for _ in range(3):
        starts.append(restart(g, stream))
        stream.wait_flowing(packets=6000)
    up, down = stream.stop()
    datagrams = wire.stop().udp()
    again_after(figure, starts, up, down, 2)
    assert no_key_twice(figure, datagrams) > 30_000
    # Without the client's help: it was the server that called, after each restart.
    assert len(calls(datagrams)) >= len(starts) and tunnel.initiations() == 1
    assert up.duplicates == down.duplicates == 0
    s = until(lambda: g.session_of(device), 3, "session is listed again")
    assert s["protocol"] == "wireguard" and s["endpoint"].startswith(tunnel.ns.address4)
    assert tunnel.ping("198.51.100.2", count=5)


def test_killed_again_at_once(gateway, figure):
    """A second and third time before the first call is 5 s old: a lost session is called for without waiting."""
    g = gateway(nice=-10)
    _, _, issued = g.provision("laptop")
    tunnel = g.client(issued, nice=-10)
    wire = g.own(capture.Capture(g.ns, "outer0", "udp port 51820", snaplen=192))
    stream = g.stream(tunnel).wait_flowing(packets=100)
    starts = [restart(g, stream) for _ in range(3)]
    up, down = stream.stop()
    again_after(figure, starts, up, down, 2)
    no_key_twice(figure, wire.stop().udp())


def test_both_killed(gateway, figure):
    """Control plane and dataplane at once: who was connected is called back all the same."""
    g = gateway(nice=-10)
    _, device, issued = g.provision("laptop")
    tunnel = g.client(issued, nice=-10)
    until(lambda: g.session_of(device), 3, "session")
    # What must survive is written within a second or two.
    wire = g.own(capture.Capture(g.ns, "outer0", "udp port 51820", snaplen=192))
    stream = g.stream(tunnel).wait_flowing(packets=3000)
    for d in g.daemons:
        d.kill()
    for d in g.daemons:
        d.start()
    for end in stream.ends():
        until(lambda: end.last_received() > g.controlplane.started, 20, "packets flow again")
    up, down = stream.stop()
    again_after(figure, [g.controlplane.started], up, down, 2)
    datagrams = wire.stop().udp()
    no_key_twice(figure, datagrams)
    assert calls(datagrams) and tunnel.initiations() == 1
