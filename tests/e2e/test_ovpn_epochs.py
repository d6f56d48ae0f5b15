"""OpenVPN's epoch data format, with our own client (ovpnload.c, real TLS): no client of this Debian speaks it. And that
one keeps the format it knows."""
import re

import capture
import kinds
import topology
from test_ovpn_load import Load

SESSIONS = 5
# What the client does, how many of its pings are answered, and the epoch that the server has come to by then.
STEPS = [
    ("first", SESSIONS, 1),
    ("next", SESSIONS, 2),         # it moves on, the server follows
    ("jump", SESSIONS, 6),         # four at once, as far as there are keys
    ("late", SESSIONS, 6),         # a packet of the epoch before
    ("again", 0, 6),               # the same packet once more
    ("passed over", 0, 6),         # of an epoch that was never used
    ("too far", 0, 6),             # five ahead
    ("still", SESSIONS, 6),
    ("rekeyed", SESSIONS, 1),      # new keys, first epoch
    ("after the rekey", SESSIONS, 3),
]


def test_a_client_with_epochs(gateway):
    g = gateway()
    user = g.user("new")
    folder = topology.temporary() / "epochs"
    folder.mkdir()
    for i in range(SESSIONS):
        (folder / f"{i}.ovpn").write_text(g.credential(g.device(user, f"device-{i}"), "openvpn")["profile"])
    load = g.own(Load(g.net.client(), folder, epochs=True))
    assert load.connected()["sessions"] == SESSIONS
    for what, answered, epoch in STEPS:
        said = load.echoes()
        assert (said["what"], said["answered"], said["epoch"]) == (what, answered, epoch), said
    # Inner packets, as for everybody: a failed one is not counted.
    sessions = g.api.all("/v1/sessions")
    assert len(sessions) == SESSIONS
    for s in sessions:
        assert s["cipher"] == "AES-256-GCM" and s["rx_packets"] >= 7 and s["rx_packets"] == s["tx_packets"], s


def test_a_client_without(gateway):
    g = gateway()
    wire = g.own(capture.Capture(g.ns, "outer0", "udp port 1194"))
    _, c = g.connected("older", kinds.UDP)
    assert c.ping(topology.INTERNET4, count=5)
    pushed = re.search(r"PUSH_REPLY.*protocol-flags ([^,']*)", c.text())
    assert pushed and "aead-epoch" not in pushed[1], c.text()
    wire.stop()
    data = [p for _, _, _, p in wire.openvpn() if p[0] >> 3 == 9]
    # A packet id of 32 bits and no epoch: few packets, so it begins with zeros.
    assert data and all(p[4:6] == bytes(2) for p in data)
