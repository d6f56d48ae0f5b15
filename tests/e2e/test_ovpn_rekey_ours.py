"""The same, begun by the server; the client's own timer is off."""
import kinds
from renegotiation import EVERY, run


def test_the_server_begins(gateway, figure):
    g = gateway(nice=-10, env={"IREKO_OPENVPN_RENEG": str(EVERY)})
    run(g, {str(kind): g.connected(str(kind), kind, nice=-10, options=["--reneg-sec", 0]) for kind in kinds.OPENVPN}, figure)
