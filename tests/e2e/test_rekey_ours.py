"""The server made the session (it called its peer back after a restart of the dataplane), so the server
rekeys at 120 s: under 1,000 packets a second each way no packet is lost, and the client need not help."""
from poll import until


def test_no_packet_lost_over_a_rekey_of_ours(gateway, figure):
    g = gateway(nice=-10)
    _, device, issued = g.provision("laptop")
    tunnel = g.client(issued, nice=-10)
    until(lambda: g.session_of(device), 3, "session")
    g.dataplane.kill()
    g.dataplane.start()
    # The client's log: two handshakes may fall into one second, and its clock shows whole ones.
    until(lambda: tunnel.calls() > 0, 5, "called back")
    called = tunnel.handshake_at()
    stream = g.stream(tunnel).wait_flowing()
    rekeyed = until(lambda: (t := tunnel.handshake_at()) > called and t, 135, "server rekeyed", every=0.5)
    stream.wait_flowing(packets=5000)
    up, down = stream.stop()
    figure("up", up)
    figure("down", down)
    figure("rekey after", f"{rekeyed - called} s")
    assert 118 <= rekeyed - called <= 130
    assert tunnel.initiations() == 1, "the client shook hands once, at the beginning"
    stream.nothing_lost(up, down, 120_000)
