"""tshark names every packet on the wire as WireGuard, or as OpenVPN."""
import collections
import re

import pytest

import capture
import kinds
import topology
import traffic
from poll import until

# Everything on the outer link must be the tunnel, save how neighbours find each other (ARP, ND, MLD) and
# the kernel's "port unreachable" while there is no dataplane.
TUNNEL = ("not arp and not igmp and not (ip6 proto 0) and not (icmp[0] == 3 and icmp[1] == 3) and "
          "not (icmp6 and ((ip6[40] >= 133 and ip6[40] <= 136) or (ip6[40] == 1 and ip6[41] == 4)))")


@pytest.mark.parametrize("endpoint", [topology.SERVER4, topology.SERVER6])
def test_tshark_names_every_packet(gateway, figure, endpoint):
    g = gateway(endpoint=endpoint)
    wire = g.own(capture.Capture(g.ns, "outer0", TUNNEL))
    _, device, issued = g.provision("laptop")
    tunnel = g.client(issued)
    web = g.own(traffic.WebServer(g.net.internet, 5 * 10**6))
    assert traffic.download(tunnel.ns)[1] == web.sha256
    assert tunnel.ping(topology.INTERNET6, count=5)
    g.controlplane.kill()
    g.controlplane.start()
    g.wait_ready()
    g.dataplane.kill()
    g.dataplane.start()
    tunnel.connect(10)
    wire.stop()
    lines = wire.tshark("-T", "fields", "-E", "separator=|", "-e", "_ws.col.Protocol", "-e", "wg.type",
                        "-e", "_ws.expert.message", "-e", "_ws.malformed")
    names = collections.Counter(line.split("|")[0] for line in lines)
    types = collections.Counter(line.split("|")[1] for line in lines)
    figure("packets", f"{dict(names)}, by type {dict(types)}")
    assert len(lines) > 3000 and set(names) == {"WireGuard"}
    assert set(types) == {"1", "2", "4"}
    assert not [line for line in lines if line.split("|")[3]]
    # The padding of B5: every data datagram is 32 bytes and a multiple of 16, or cut at the MTU.
    for d in wire.udp():
        assert d[5][1:4] == b"\0\0\0"
        if d[5][0] == 4 and d[2] == 51820:
            assert (len(d[5]) - 32) % 16 == 0 or len(d[5]) == 1420 + 32, len(d[5])


@pytest.mark.parametrize("kind", kinds.OPENVPN, ids=str)
def test_tshark_names_openvpn(gateway, figure, kind):
    """The handshake's packets and the data by their names, nothing malformed; a rekey by the client as well."""
    g = gateway()
    wire = g.own(capture.Capture(g.ns, "outer0", f"{kind.transport} port 1194", snaplen=capture.WHOLE[kind.transport]))
    _, tunnel = g.connected("laptop", kind, options=["--reneg-sec", "5"])
    web = g.own(traffic.WebServer(g.net.internet, 5 * 10**6))
    assert traffic.download(tunnel.ns)[1] == web.sha256
    until(lambda: tunnel.handshakes() >= 2, 10, "the client renegotiates")
    assert tunnel.ping(topology.INTERNET6, count=5)
    wire.stop()
    lines = wire.tshark("-o", "openvpn.tls_crypt:TRUE", "--disable-protocol", "tls", "-Y", "openvpn", "-T", "fields", "-E",
                        "separator=|", "-e", "_ws.col.Protocol", "-e", "_ws.col.Info", "-e", "_ws.malformed")
    # Over TCP a line is a segment, and those of a download are long.
    assert len(lines) > (1000 if kind == kinds.UDP else 200) and {line.split("|")[0] for line in lines} == {"OpenVPN"}
    assert not [line for line in lines if line.split("|")[2]]
    names = collections.Counter(n for line in lines for n in re.findall(r"P_\w+", line.split("|")[1]))
    figure("packets", dict(names))
    want = {"P_CONTROL_HARD_RESET_CLIENT_V3", "P_CONTROL_HARD_RESET_SERVER_V2", "P_ACK_V1", "P_CONTROL_V1", "P_DATA_V2",
            "P_CONTROL_SOFT_RESET_V1"}
    assert want <= set(names), want - set(names)
