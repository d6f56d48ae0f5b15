"""1,000 devices provisioned over REST; both daemons restart; everything is synchronised again."""
import concurrent.futures
import time

import noise
from poll import until

DEVICES, PARALLEL = 1000, 8


def test_thousand_devices(gateway, rng, figure):
    g = gateway(env={"IREKO_LOG_LEVEL": "info"})
    users = [g.user(f"user-{i}") for i in range(10)]
    idle = {d.name: d.rss_kb() for d in g.daemons}

    def provision(i):
        device = g.device(users[i % len(users)], f"device-{i}")
        return device, g.credential(device)

    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        made = list(pool.map(provision, range(DEVICES)))
    figure("provisioned", f"{DEVICES} devices with credentials in {time.monotonic() - start:.1f} s")
    for field in ("address4", "address6"):
        assert len({d[field] for d, _ in made}) == DEVICES
    figure("memory before the restart", memory(g, idle))
    ns = g.net.client()

    def some_connect(when):
        for device, issued in rng.sample(made, 10) + [made[0], made[-1]]:
            assert noise.Initiator(issued["profile"]).handshake(ns), f"{device['name']} {when}"

    some_connect("before")
    for d in g.daemons:
        d.kill()
    start = time.monotonic()
    g.dataplane.start()
    g.controlplane.start()
    g.wait_ready()
    figure("both started and synchronised in", f"{time.monotonic() - start:.2f} s")
    status = g.status()["dataplane"]
    assert status["peers"] == DEVICES and status["aead"], status
    figure("status after the restart", {k: v for k, v in status.items() if isinstance(v, (int, float))})
    figure("memory after the restart", memory(g, {}))
    some_connect("after both were killed")
    # The dataplane alone: a full sync from a control plane that went on running.
    g.dataplane.kill()
    until(lambda: g.anonymous.request("GET", "/readyz").status == 503, 5, "not ready without a dataplane")
    start = time.monotonic()
    g.dataplane.start()
    g.wait_ready()
    figure("full synchronisation of a new dataplane", f"{time.monotonic() - start:.2f} s from its start")
    some_connect("after the dataplane alone was killed")
    listed = g.api.all("/v1/devices")
    assert {d["id"] for d in listed} == {d["id"] for d, _ in made}
    for d in g.daemons:
        assert d.rss_kb() < 200 * 1024


def memory(g, idle):
    return ", ".join(f"{d.name} {d.rss_kb()} kB" + (f" (idle {idle[d.name]})" if idle else "") for d in g.daemons)
