"""The control plane is killed and started under a stream: not one packet is lost, the list is right again."""
import time

import pytest

import capture
import kinds
import noise
from poll import until


@pytest.mark.parametrize("kind", kinds.ALL, ids=str)
def test_kill_and_start_loses_nothing(gateway, figure, kind):
    g = gateway(nice=-10)
    device, tunnel = g.connected("laptop", kind, nice=-10)
    other_device, other = g.connected("second", kind, nice=-10)
    before = {d["id"]: until(lambda: g.session_of(d), 3, "session") for d in (device, other_device)}
    stream = g.stream(tunnel).wait_flowing()
    pid, rounds = g.dataplane.pid, 3
    for _ in range(rounds):
        g.controlplane.kill()
        stream.wait_flowing(packets=1500)
        g.controlplane.start()
        g.wait_ready()
        stream.wait_flowing(packets=1500)
    up, down = stream.stop()
    figure("up", up)
    figure("down", down)
    stream.nothing_lost(up, down, rounds * 3000)
    assert g.dataplane.pid == pid and g.dataplane.alive()
    assert tunnel.attempts() == 1, "the client noticed nothing"

    def right_again():
        now = {s["device_id"]: s for s in g.api.all("/v1/sessions")}
        return now.keys() == before.keys() and all(
            now[k].get(f) == before[k].get(f) for k in now
            for f in ("id", "user_id", "protocol", "transport", "cipher", "tls_version", "endpoint", "started_at")) and now
    now = until(right_again, 5, f"session list as before: {before}")
    # Counters went on over all restarts.
    def counted():
        s = g.session_of(device)
        status = g.api.get(f"/v1/devices/{device['id']}")["status"]
        return all(x[k] >= n * 228 for x in (s, status) for k, n in (("rx_bytes", up.received), ("tx_bytes", down.sent)))
    until(counted, 5, f"counters contain the stream: {now}")
    assert other.ping("198.51.100.2", count=3), "the quiet one still has its tunnel"


@pytest.mark.parametrize("kind", [kinds.WIREGUARD, kinds.UDP], ids=str)
def test_new_client_after_restart(gateway, kind):
    """What was provisioned before the kill connects after it, what is provisioned after it too."""
    g = gateway()
    user, _, issued = g.provision("before", protocol=kind.protocol)
    g.restart_controlplane()
    g.client(issued)
    g.client(g.credential(g.device(user, "after"), kind.protocol))


def test_kill_just_after_clients_connected(gateway, figure):
    """Whatever the database knows of a young tunnel when the control plane dies: the dataplane has kept it,
    so nobody is called back."""
    g = gateway()
    user = g.user("many")
    ns = g.net.client()
    wire = g.own(capture.Capture(g.ns, "outer0", "udp port 51820"))
    young, sockets = [], [g.own(ns.socket()) for _ in range(12)]
    for i, s in enumerate(sockets):
        young.append(noise.Initiator(g.credential(g.device(user, f"young-{i}"))["profile"]))
        assert young[i].handshake(ns, sock=s)
        time.sleep(0.15)  # the ages of the tunnels are the point here
    g.controlplane.kill()
    g.controlplane.start()
    g.wait_ready()
    until(lambda: len(g.api.all("/v1/sessions")) == len(young), 5, "all sessions are listed")
    # The keys of before still work: a packet of each is accepted, not refused.
    before = g.drops()
    for asking, s in zip(young, sockets):
        s.sendto(asking.data(), asking.endpoint)
    calls = [d for d in capture.handshakes(wire.stop().udp(), 1) if d[2] == 51820]
    figure("called back without need", f"{len(calls)} of {len(young)}")
    after = g.drops()
    assert after["unknown_session"] == before["unknown_session"]
    assert not calls
