"""The control plane is killed and started under a stream: not one packet is lost, the list is right again."""
from poll import until


def test_kill_and_start_loses_nothing(gateway, figure):
    g = gateway(nice=-10)
    _, device, issued = g.provision("laptop")
    tunnel = g.client(issued, nice=-10)
    _, other_device, other_issued = g.provision("second")
    other = g.client(other_issued, nice=-10)
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
    for d in (up, down):
        assert d.sent > rounds * 3000 and (d.lost, d.duplicates, d.failed) == (0, 0, 0), str(d)
    assert g.dataplane.pid == pid and g.dataplane.alive()
    assert tunnel.initiations() == 1, "the client noticed nothing"

    def right_again():
        now = {s["device_id"]: s for s in g.api.all("/v1/sessions")}
        return now.keys() == before.keys() and all(
            now[k][f] == before[k][f] for k in now
            for f in ("id", "user_id", "protocol", "transport", "cipher", "endpoint", "started_at")) and now
    now = until(right_again, 5, f"session list as before: {before}")
    # Counters went on over all restarts.
    def counted():
        s = g.session_of(device)
        status = g.api.get(f"/v1/devices/{device['id']}")["status"]
        return all(x[k] >= n * 228 for x in (s, status) for k, n in (("rx_bytes", up.received), ("tx_bytes", down.sent)))
    until(counted, 5, f"counters contain the stream: {now}")
    assert other.ping("198.51.100.2", count=3), "the quiet one still has its tunnel"


def test_new_client_after_restart(gateway):
    """What was provisioned before the kill connects after it, what is provisioned after it too."""
    g = gateway()
    user, _, issued = g.provision("before")
    g.controlplane.kill()
    g.controlplane.start()
    g.wait_ready()
    g.client(issued)
    g.client(g.credential(g.device(user, "after")))
