"""Everything that mixed.py sends, for SOAK_SECONDS (600): through every protocol and several MTUs, half of the time with the
kernel's offloads and half without. Each datagram comes unchanged and in its place. `make soak-mixed`; test_offloads.py has
the same for seconds."""
import os

import pytest

import kinds
import mixed

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
MTUS = [1420, 1281, 9000, 1397, 1409]
PARTS = [(mtu, kind) for mtu in MTUS for kind in kinds.ALL]


@pytest.mark.parametrize("setting", ["auto", "off"])
def test_soak(one_cpu, gateway, rng, figure, setting):
    g = gateway(env={"IREKO_OFFLOADS": setting, "IREKO_WORKERS": "2"})
    sent = 0
    for mtu, kind in PARTS:
        g.api.patch("/v1/settings", {"mtu": mtu})
        _, tunnel = g.connected(f"laptop-{kind}-{mtu}", kind)
        sent += sum(mixed.run(tunnel.ns, g.net.internet, rng, mixed.lasting(SECONDS / 2 / len(PARTS)), mixed.fitting(mtu)))
        tunnel.remove()
        wrong = {k: n for k, n in g.drops().items() if k in ("bad_tag", "malformed", "replay", "bad_inner", "too_big") and n}
        assert wrong == {}, f"{kind}, {mtu}"
    figure(f"offloads {setting}", f"{sent} datagrams, none lost, changed or out of order")
