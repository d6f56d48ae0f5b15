"""The client renegotiates every 20 s under 1,000 packets a second each way, over UDP and TCP beside each
other: no packet is lost, and each stays in the same session."""
import kinds
from renegotiation import EVERY, run


def test_the_client_begins(gateway, figure):
    g = gateway(nice=-10)
    run(g, {str(kind): g.connected(str(kind), kind, nice=-10, options=["--reneg-sec", EVERY]) for kind in kinds.OPENVPN},
        figure)
