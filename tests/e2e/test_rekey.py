"""Rekey at 120 s under 1,000 packets a second each way: no packet is lost."""
import datetime

from poll import until


def test_no_packet_lost_over_a_rekey(gateway, figure):
    g = gateway(nice=-10)
    _, device, issued = g.provision("laptop")
    tunnel = g.client(issued, nice=-10)
    first = tunnel.handshake_at()
    session = until(lambda: g.session_of(device), 3, "session")
    stream = g.stream(tunnel).wait_flowing()
    rekeyed = until(lambda: (t := tunnel.handshake_at()) > first and t, 135, "client rekeyed", every=0.5)
    stream.wait_flowing(packets=5000)
    up, down = stream.stop()
    figure("up", up)
    figure("down", down)
    figure("rekey after", f"{rekeyed - first} s")
    assert 118 <= rekeyed - first <= 130
    stream.nothing_lost(up, down, 120_000)

    def shown():
        s = g.session_of(device)
        return s and s["id"] == session["id"] and abs(
            datetime.datetime.fromisoformat(s["last_handshake_at"]).timestamp() - rekeyed) <= 2
    until(shown, 5, "the same session shows the new handshake")
