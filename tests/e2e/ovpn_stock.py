"""A stock OpenVPN server with a CA of its own, for comparison: what Debian's openvpn does where ours is
measured."""
import pathlib
import re
import shutil
import tempfile

import ovpn_pki
import topology
from poll import until
from traffic import Service

PROFILE = """client
dev tun
nobind
remote {host} 1194 udp
remote {host} 1194 tcp
remote-cert-tls server
{blocks}"""


def blocks(**inside):
    return "".join(f"<{name}>\n{text.strip()}\n</{name}>\n" for name, text in
                   ((k.replace("_", "-"), v) for k, v in inside.items()) if text)


class StockServer(Service):
    """One process on UDP (or TCP) 1194 of a Net's server. wrapped False: no tls-crypt-v2 at all."""

    def __init__(self, net, proto="udp", wrapped=True, options=(), nice=0):
        self.net, self.ca = net, ovpn_pki.Authority()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="stock-", dir=topology.temporary()))
        self.server_key = ovpn_pki.server_key() if wrapped else None
        cert, key = self.ca.issue("stock", ovpn_pki.SERVER)
        wrap = ovpn_pki.armour("server", self.server_key) if wrapped else None
        conf = self.dir / "server.conf"
        conf.write_text("server 10.66.0.0 255.255.0.0\ntopology subnet\ndev stock0\ndev-type tun\nkeepalive 10 60\n"
                        "dh none\nduplicate-cn\nmax-clients 4096\nverb 3\npush \"redirect-gateway def1\"\n" +
                        blocks(ca=self.ca.pem(), cert=cert, key=key, tls_crypt_v2=wrap))
        conf.chmod(0o600)
        net.server.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        net.server.run("nft", "table ip stock { chain out { type nat hook postrouting priority srcnat; "
                              "oifname inner0 ip saddr 10.66.0.0/16 masquerade; }; }")
        super().__init__(net.server, ["nice", "-n", nice, "openvpn", "--config", conf, "--proto", proto, *options])
        until(lambda: "Initialization Sequence Completed" in self.text() or self.process.poll() is not None, 10,
              "stock server starts")
        assert self.process.poll() is None, self.text()

    def profile(self, host=topology.SERVER4):
        cert, key = self.ca.issue("client")
        wrap = ovpn_pki.client_key(self.server_key) if self.server_key else None
        return PROFILE.format(host=host, blocks=blocks(ca=self.ca.pem(), cert=cert, key=key, tls_crypt_v2=wrap))

    def rss_kb(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    def remove(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
