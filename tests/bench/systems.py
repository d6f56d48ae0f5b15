"""The servers that are measured, each with stock clients that are connected. All of them run all the time; only one
at a time has something to do."""
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import daemons
import measure
import noise
import topology
import traffic
from client import Client
from ovpn_client import OpenVpn
from ovpn_stock import StockServer
from poll import until

CHACHA = ["--data-ciphers", "CHACHA20-POLY1305"]
_numbers = itertools.count()


class System:
    """One row of the tables: name, net, client (connected), pids() of the server, tun (its device). against is the name
    of the stock system that it is compared with."""

    def __init__(self, name, net, pids, tun, client=None, against=None):
        self.name, self.net, self.pids, self.tun = name, net, pids, tun
        self.client, self.against = client, against


class Stand:
    """Everything that was started, to be ended in the reverse order."""

    def __init__(self):
        self.owned = []

    def own(self, thing, end):
        self.owned.append((thing, end))
        return thing

    def net(self):
        net = self.own(topology.Net(), lambda n: n.remove())
        return net

    def internet_answers(self, net):
        self.own(traffic.Iperf(net.internet), lambda s: s.stop())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        while self.owned:
            thing, end = self.owned.pop()
            try:
                end(thing)
            except Exception as error:  # the rest has to go as well
                print(f"ending {type(thing).__name__}: {error}")


# ---- ours ----

def ireko(stand, net, **env):
    """The pair of daemons as it is in service."""
    pair = daemons.Pair(net, env={"IREKO_LOG_LEVEL": "info", **env})
    stand.own(pair, lambda p: p.remove())
    return pair.start()


def ireko_pids(pair):
    return [pair.dataplane.pid, *pair.dataplane.children(), pair.controlplane.pid]


# ---- wireguard-go ----

class WireguardGo:
    """Debian's wireguard-go as a server with address translation: peers is [(private key, public key)] of clients,
    whose addresses begin with 10.66.0.2."""

    def __init__(self, net, peers):
        self.net, self.peers = net, peers
        self.private, self.public = noise.new_key()
        self.device = f"go{os.getpid() % 10**7}n{next(_numbers)}"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="go-", dir=topology.temporary()))
        self.sock = pathlib.Path(f"/var/run/wireguard/{self.device}.sock")
        with open(self.dir / "log", "wb") as log:
            self.process = net.server.popen(["wireguard-go", "-f", self.device], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, "WG_PROCESS_FOREGROUND": "1"})
        until(lambda: self.sock.exists() or self.process.poll() is not None, 10, "wireguard-go starts")
        assert self.process.poll() is None, (self.dir / "log").read_text()
        self.set_peers(peers)
        topology.add_address(net.server, self.device, "10.66.0.1/16")
        net.server.ip("link", "set", self.device, "mtu", "1420", "txqueuelen", "2000", "up")
        net.server.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        net.server.run("nft", "table ip go { chain out { type nat hook postrouting priority srcnat; "
                              "oifname inner0 ip saddr 10.66.0.0/16 masquerade; }; }")

    @staticmethod
    def address(i):
        return f"10.66.{(i + 2) >> 8}.{(i + 2) & 255}"

    def set_peers(self, peers):
        conf = self.dir / "conf"
        conf.write_text(f"[Interface]\nPrivateKey = {self.private}\nListenPort = 51820\n" + "".join(
            f"[Peer]\nPublicKey = {public}\nAllowedIPs = {self.address(i)}/32\n" for i, (_, public) in enumerate(peers)))
        self.net.server.run("wg", "setconf", self.device, conf)

    def profile(self, i=0):
        return (f"[Interface]\nPrivateKey = {self.peers[i][0]}\nAddress = {self.address(i)}/32\nMTU = 1420\n\n[Peer]\n"
                f"PublicKey = {self.public}\nAllowedIPs = 0.0.0.0/0\nEndpoint = {topology.SERVER4}:51820\n")

    def remove(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.sock.unlink(missing_ok=True)
        shutil.rmtree(self.dir, ignore_errors=True)


# ---- all of them, with clients ----

def _connected(stand, client):
    stand.own(client, lambda c: c.remove())
    return client.start().connect()


OURS = [  # name, protocol, of OpenVpn, whom it is compared with
    ("ireko WireGuard", "wireguard", {}, "wireguard-go"),
    ("ireko OpenVPN AES-256-GCM", "openvpn", {"transport": "udp"}, "openvpn AES-256-GCM"),
    ("ireko OpenVPN CHACHA20", "openvpn", {"transport": "udp", "options": CHACHA}, "openvpn CHACHA20"),
    ("ireko OpenVPN TCP", "openvpn", {"transport": "tcp"}, "openvpn TCP"),
]
STOCK = [  # name, protocol, more of the server's command line
    ("openvpn AES-256-GCM", "udp", []),
    ("openvpn CHACHA20", "udp", CHACHA),
    ("openvpn TCP", "tcp", []),
]
# Ours once more, packet by packet.
PLAIN = ", offloads off"
AGAINST = {name: against for name, _, _, against in OURS}
NAMES = [row[0] for row in OURS] + ["wireguard-go"] + [row[0] for row in STOCK]
SATURATED = [row[0] for row in OURS] + [row[0] + PLAIN for row in OURS[:2]] + NAMES[len(OURS):]
AGAINST.update({name + PLAIN: against for name, against in list(AGAINST.items())[:2]})


class Ours:
    """One pair of daemons for several rows, made when the first of them needs it. When it does not start, each of its
    rows says so."""

    def __init__(self, stand, **env):
        self.stand, self.env, self.made = stand, env, None

    def get(self):
        if self.made is None:
            net = self.stand.net()
            self.made = net, ireko(self.stand, net, **self.env)
        return self.made


def _device(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


def _stock(stand, name):
    net = stand.net()
    proto, options = next(row[1:] for row in STOCK if row[0] == name)
    return net, stand.own(StockServer(net, proto, options=options), lambda s: s.remove()), proto, options


def _go(stand):
    net = stand.net()
    return net, stand.own(WireguardGo(net, [noise.new_key()]), lambda s: s.remove())


# ---- with stock clients ----

def _ours_with_client(stand, ours, name):
    protocol, options, against = next(row[1:] for row in OURS if row[0] == name)
    fresh = ours.made is None
    net, pair = ours.get()
    if fresh:
        stand.internet_answers(net)
    profile = pair.provision(_device(name), protocol=protocol)[2]["profile"]
    kind = Client if protocol == "wireguard" else OpenVpn
    return System(name, net, lambda: ireko_pids(pair), "ireko0", _connected(stand, kind(net.client(), profile, **options)), against)


def _stock_with_client(stand, name):
    net, server, proto, options = _stock(stand, name)
    stand.internet_answers(net)
    client = _connected(stand, OpenVpn(net.client(), server.profile(), transport=proto, options=options))
    return System(name, net, lambda: [server.process.pid], "stock0", client)


def _go_with_client(stand):
    net, server = _go(stand)
    stand.internet_answers(net)
    return System("wireguard-go", net, lambda: [server.process.pid], server.device,
                  _connected(stand, Client(net.client(), server.profile())))


def with_clients(stand, names, attempt):
    """Those systems that start, in the order of NAMES. attempt(system, what, call, *args) is None when it fails."""
    ours, made = Ours(stand), []
    for name in [n for n in NAMES if n in names]:
        if name in AGAINST:
            made.append(attempt(name, "start", _ours_with_client, stand, ours, name))
        elif name == "wireguard-go":
            made.append(attempt(name, "start", _go_with_client, stand))
        else:
            made.append(attempt(name, "start", _stock_with_client, stand, name))
    return [m for m in made if m]


# ---- for saturate.c: no client, one CPU ----

def knocked(name, net, pids, tun, profile, port, against=None, tcp=False):
    """The generator is the client; behind the TUN its flood is dropped. The server is not pinned yet."""
    system = System(name, net, pids, tun, against=against)
    system.knock_ns, system.port, system.tcp = net.client(), port, tcp
    system.profile_file = topology.temporary() / f"saturate-{next(_numbers)}"
    system.profile_file.write_text(profile)
    system.profile_file.chmod(0o600)
    net.server.run("nft", "add table inet bench; add chain inet bench flood { type filter hook prerouting priority raw; }; "
                          f"add rule inet bench flood iifname {tun} udp dport 9 drop")
    return system


def _ciphers(options):
    """What a profile begins with so that the generator asks for the same cipher as such a client."""
    return f"data-ciphers {options[1]}\n" if options else ""


def _ours_knocked(ours, name):
    protocol, options, against = next(row[1:] for row in OURS if row[0] == name.removesuffix(PLAIN))
    net, pair = ours.get()
    profile = _ciphers(options.get("options")) + pair.provision(_device(name), protocol=protocol)[2]["profile"]
    return knocked(name, net, lambda: ireko_pids(pair), "ireko0", profile, 51820 if protocol == "wireguard" else 1194, against,
                   options.get("transport") == "tcp")


def _stock_knocked(stand, name):
    net, server, proto, options = _stock(stand, name)
    return knocked(name, net, lambda: [server.process.pid], "stock0", _ciphers(options) + server.profile(), 1194, tcp=proto == "tcp")


def _go_knocked(stand):
    net, server = _go(stand)
    return knocked("wireguard-go", net, lambda: [server.process.pid], server.device, server.profile(), 51820)


def saturated(stand, names, attempt):
    """Those servers that start, on the first CPU, ours with one worker."""
    ours = {False: Ours(stand, IREKO_WORKERS="1"), True: Ours(stand, IREKO_WORKERS="1", IREKO_OFFLOADS="off")}
    made = []
    for name in [n for n in SATURATED if n in names]:
        if name in AGAINST:
            made.append(attempt(name, "start", _ours_knocked, ours[name.endswith(PLAIN)], name))
        elif name == "wireguard-go":
            made.append(attempt(name, "start", _go_knocked, stand))
        else:
            made.append(attempt(name, "start", _stock_knocked, stand, name))
    made = [m for m in made if m]
    for system in made:
        measure.pin(system.pids(), {min(os.sched_getaffinity(0))})
    return made
