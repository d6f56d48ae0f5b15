"""What a test is repeated over: one protocol on one transport. As a parameter:
@pytest.mark.parametrize("kind", kinds.ALL, ids=str)"""
import typing


class Kind(typing.NamedTuple):
    protocol: str
    transport: str

    def __str__(self):
        return self.protocol if self.protocol == "wireguard" else f"{self.protocol}-{self.transport}"

    @property
    def options(self):
        """For Gateway.client and Gateway.stock."""
        return {"transport": self.transport} if self.protocol == "openvpn" else {}


WIREGUARD = Kind("wireguard", "udp")
UDP, TCP = Kind("openvpn", "udp"), Kind("openvpn", "tcp")
OPENVPN = [UDP, TCP]
ALL = [WIREGUARD, UDP, TCP]
