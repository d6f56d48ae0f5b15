"""Kernel offloads: with all of them, with none and with each of them off, everything arrives whole, unchanged and in
order; the status says what is in use."""
import os

import pytest

import kinds
import mixed
import traffic

ALL = ["tun-gso", "tun-gro", "udp-gso", "udp-gro"]
SIZE = 20 * 10**6
# With MTUs that are odd, and one that no outer link takes whole.
CASES = [("auto", 1420), ("off", 1409)] + [
    (",".join(x for x in ALL if x != off), mtu) for off, mtu in zip(ALL, (1281, 1420, 9000, 1397))] + [("auto", 9000)]


def wanted(setting):
    return {"auto": ALL, "off": []}.get(setting, setting.split(","))


@pytest.fixture
def one_cpu():
    """For us and whoever is started: a sender that moves to another CPU overtakes itself in the queues between two
    namespaces, and nobody could tell that from an error of ours."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.parametrize("setting, mtu", CASES)
def test_nothing_is_lost_or_changed(one_cpu, gateway, rng, figure, setting, mtu):
    g = gateway(env={"IREKO_OFFLOADS": setting, "IREKO_WORKERS": "2"})
    assert g.status()["dataplane"]["offloads"] == wanted(setting)
    g.api.patch("/v1/settings", {"mtu": mtu})
    kind = kinds.UDP if mtu == 1397 else kinds.WIREGUARD
    _, tunnel = g.connected("laptop", kind)
    # A long IPv6 packet that fits the tunnel and not the link behind it is not forwarded: that is its sender's to learn.
    some = [k for k in mixed.KINDS if mtu < 9000 or k.family == mixed.V4 or k.longest < 2000]
    up, down = mixed.run(tunnel.ns, g.net.internet, rng, rounds=8, kinds=some)
    figure("datagrams", f"{up} up, {down} down")
    web = g.own(traffic.WebServer(g.net.internet, SIZE))
    assert traffic.download(tunnel.ns) == (SIZE, web.sha256)
    assert traffic.upload(tunnel.ns, web.file) == web.sha256
    # None was given up on the way.
    assert g.status()["dataplane"]["offloads"] == wanted(setting)
    assert {k: n for k, n in g.drops().items() if k in ("bad_tag", "malformed", "replay", "bad_inner", "too_big") and n} == {}
