"""The dataplane is killed and started under a stream: traffic within 2 s without the client's help, and
no key is ever used twice with the same counter."""
import capture
from poll import until


def test_kill_and_start(gateway, figure):
    g = gateway(nice=-10)
    _, device, issued = g.provision("laptop")
    tunnel = g.client(issued, nice=-10)
    wire = g.own(capture.Capture(g.ns, "outer0", "udp port 51820", snaplen=192))
    stream = g.stream(tunnel).wait_flowing(packets=1000)
    restarts, rounds = [], 3
    for _ in range(rounds):
        marks = [e.received() for e in stream.ends()]
        g.dataplane.kill()
        g.dataplane.start()
        started = g.dataplane.started
        restarts.append(started)
        # What was under way when it died may still arrive; what was sent after the start counts.
        for end, mark in zip(stream.ends(), marks):
            until(lambda: any(r[1] > started for r in end.records(mark)), 20, "packets flow again")
        stream.wait_flowing(packets=1000)
    up, down = stream.stop()
    wire.stop()
    datagrams = wire.udp()
    for i, started in enumerate(restarts):
        for name, d in (("up", up), ("down", down)):
            again = d.first_sent_after(started)
            figure(f"restart {i + 1} {name}", f"{again - started:.2f} s")
            assert again - started < 2, name
    # Without the client's help: it was the server that called, after each restart.
    calls = [d for d in capture.handshakes(datagrams, 1) if d[2] == 51820]
    assert len(calls) >= rounds
    count = capture.nonces(datagrams)
    figure("nonces", f"{len(count)} (key, counter) pairs on the wire")
    assert len(count) > 8000
    twice = {k: n for k, n in count.items() if n > 1}
    assert not twice, f"used twice: {list(twice.items())[:5]}"
    ephemerals = [d[5][8:40] for d in capture.handshakes(datagrams, 1)] + \
                 [d[5][12:44] for d in capture.handshakes(datagrams, 2)]
    assert len(set(ephemerals)) == len(ephemerals), "an ephemeral key came twice"
    assert up.duplicates == down.duplicates == 0
    s = until(lambda: g.session_of(device), 3, "session is listed again")
    assert s["protocol"] == "wireguard"
    assert tunnel.ping("198.51.100.2", count=5)
