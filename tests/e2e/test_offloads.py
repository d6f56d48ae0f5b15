"""Kernel offloads: with all of them, with none and with each of them off, everything arrives whole, unchanged and in
order; the status says what is in use."""
import re

import pytest

import kinds
import mixed
import topology
import traffic

ALL = ["tun-gso", "tun-gro", "udp-gso", "udp-gro"]
SIZE = 20 * 10**6
LINK = 1500  # bytes, of all outer links
# With MTUs that are odd, and one that no outer link takes whole.
CASES = [("auto", 1420), ("off", 1409)] + [
    (",".join(x for x in ALL if x != off), mtu) for off, mtu in zip(ALL, (1281, 1420, 9000, 1397))] + [("auto", 9000)]


def client_sends_runs():
    """Whether this wireguard-go knows UDP_SEGMENT: from December 2023 on, which still calls itself 20230223."""
    return int(re.search(r"0\.0\.(\d{8})", topology.run("wireguard-go", "--version"))[1]) >= 20230223


def wanted(setting):
    return {"auto": ALL, "off": []}.get(setting, setting.split(","))


@pytest.mark.parametrize("setting, mtu", CASES)
def test_nothing_is_lost_or_changed(one_cpu, gateway, rng, figure, setting, mtu):
    g = gateway(env={"IREKO_OFFLOADS": setting, "IREKO_WORKERS": "2"})
    assert g.status()["dataplane"]["offloads"] == wanted(setting)
    g.api.patch("/v1/settings", {"mtu": mtu})
    kind = kinds.UDP if mtu == 1397 else kinds.WIREGUARD
    _, tunnel = g.connected("laptop", kind)
    up, down = mixed.run(tunnel.ns, g.net.internet, rng, rounds=8, kinds=mixed.fitting(mtu))
    figure("datagrams", f"{up} up, {down} down")
    web = g.own(traffic.WebServer(g.net.internet, SIZE))
    assert traffic.download(tunnel.ns) == (SIZE, web.sha256)
    if mtu > LINK and client_sends_runs():
        # It hands over runs also when their segments are longer than its link, and they are lost (EMSGSIZE).
        tunnel.ns.ip("route", "replace", topology.INTERNET4, "dev", tunnel.device, "mtu", LINK - 100)
    assert traffic.upload(tunnel.ns, web.file) == web.sha256
    # None was given up on the way.
    assert g.status()["dataplane"]["offloads"] == wanted(setting)
    assert {k: n for k, n in g.drops().items() if k in ("bad_tag", "malformed", "replay", "bad_inner", "too_big") and n} == {}


@pytest.mark.parametrize("setting", ["auto", "off"])
def test_fragments_keep_their_place(one_cpu, gateway, rng, figure, setting):
    """Whole datagrams and fragments of one flow, from behind the gateway, and nothing comes back that would show the kernel
    which worker they belong to."""
    g = gateway(env={"IREKO_OFFLOADS": setting, "IREKO_WORKERS": "2"})
    _, tunnel = g.connected("laptop", kinds.WIREGUARD)
    both = [k for k in mixed.KINDS if k.shortest < 1200 and k.longest > 2000]
    _, down = mixed.run(tunnel.ns, g.net.internet, rng, rounds=20, kinds=4 * both, ways=["down"])
    figure("datagrams", f"{down} down")
