"""Network namespaces of one test run.

    client 0 --.                                    
    client 1 --+-- outer0 (bridge) [server] inner0 ---- internet
    attacker --'   203.0.113.0/24          198.51.100.0/24
                   2001:db8:0:1::/64       2001:db8:0:2::/64

The internet knows only its own link, so that whatever comes back has been translated by the server.
Whoever wants from the outer network to the internet needs the tunnel: nothing here turns forwarding on,
and when the gateway does, a rule of ours stands in the way.
"""
import atexit
import ctypes
import itertools
import os
import pathlib
import re
import shutil
import socket
import subprocess

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()
_living = []

SERVER4, SERVER6 = "203.0.113.1", "2001:db8:0:1::1"
UPLINK4, UPLINK6 = "198.51.100.1", "2001:db8:0:2::1"
OUTER_MAC, UPLINK_MAC, INTERNET_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"
INTERNET4, INTERNET6 = "198.51.100.2", "2001:db8:0:2::2"
# What the internet namespace answers to as well: networks that tunnels must not reach.
PRIVATE4 = ["10.1.2.3", "172.16.9.9", "192.168.55.5", "100.64.7.7", "169.254.169.254"]
PRIVATE6 = ["fd00:1234::5"]


def run(*argv, **kw):
    """Runs a command, fails loudly, returns its output."""
    r = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True, timeout=kw.pop("timeout", 60), **kw)
    assert r.returncode == 0, f"{' '.join(map(str, argv))}: exit {r.returncode}: {r.stderr.strip()}"
    return r.stdout


def temporary():
    """This process's folder for everything that a test writes. Short: socket paths have 107 characters."""
    path = pathlib.Path(f"/tmp/ireko-e2e-{os.getpid()}")
    path.mkdir(mode=0o755, exist_ok=True)
    return path


class Namespace:
    """One network namespace, by name."""

    def __init__(self, name):
        self.name = name
        self.path = f"/run/netns/{name}"
        run("ip", "netns", "add", name)
        # Addresses are good at once: one that becomes so later is a change of network, which ends a browser's requests.
        for which in ("all", "default"):
            self.run("sysctl", "-qw", f"net.ipv6.conf.{which}.accept_dad=0", f"net.ipv6.conf.{which}.dad_transmits=0")
        self.ip("link", "set", "lo", "up")

    def ip(self, *argv):
        return run("ip", "-n", self.name, *argv)

    def prefix(self):
        """What to put before a command line so that it runs in here (the pid stays the same)."""
        return ["ip", "netns", "exec", self.name]

    def run(self, *argv, **kw):
        return run(*self.prefix(), *argv, **kw)

    def popen(self, argv, **kw):
        return subprocess.Popen(self.prefix() + [str(a) for a in argv], **kw)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM, proto=0):
        """A socket of this namespace, made in the calling thread and usable from anywhere."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._enter(there)
            try:
                return socket.socket(family, kind, proto)
            finally:
                self._enter(home)
        finally:
            os.close(there)
            os.close(home)

    @staticmethod
    def _enter(fd):
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def connect(self, host, port, timeout=5.0, source=None, device=None):
        """A TCP connection from in here."""
        s = self.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            s.settimeout(timeout)
            if device:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            if source:
                s.bind((source, 0))
            s.connect((host, port))
            return s
        except BaseException:
            s.close()
            raise

    def link_bytes(self, device):
        """(received, sent) bytes and packets of a device: {rx_bytes, rx_packets, tx_...}."""
        text = self.run("cat", "/proc/net/dev")
        f = re.search(rf"^\s*{re.escape(device)}:(.*)$", text, re.M).group(1).split()
        return {"rx_bytes": int(f[0]), "rx_packets": int(f[1]),
                "tx_bytes": int(f[8]), "tx_packets": int(f[9])}

    def pids(self):
        return [int(p) for p in run("ip", "netns", "pids", self.name).split()]

    def knows(self, host, address):
        """From now on that name is this address here (`ip netns exec` puts the file in the place of /etc/hosts). This
        machine's own name is there as well: some look it up at their start, and no resolver would ever answer."""
        folder = pathlib.Path(f"/etc/netns/{self.name}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()}\n{address} {host}\n")

    def forget(self):
        """What it was told by knows."""
        shutil.rmtree(f"/etc/netns/{self.name}", ignore_errors=True)

    def remove(self):
        for pid in self.pids():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        self.forget()
        run("ip", "netns", "del", self.name)


class Net:
    """The drawing above. Use as a context manager."""

    def __init__(self):
        self.prefix = f"ik{os.getpid()}x{next(_numbers)}"
        self.namespaces = []
        self.clients = []
        _living.append(self)
        try:
            self._build()
        except BaseException:
            self.remove()
            raise

    def _namespace(self, role):
        ns = Namespace(f"{self.prefix}{role}")
        self.namespaces.append(ns)
        return ns

    def _build(self):
        self.server = self._namespace("s")
        self.internet = self._namespace("i")
        s, i = self.server, self.internet
        s.ip("link", "add", "inner0", "address", UPLINK_MAC, "type", "veth",
             "peer", "name", "eth0", "address", INTERNET_MAC, "netns", i.name)
        # The bridge keeps its address when ports come and go.
        s.ip("link", "add", "outer0", "address", OUTER_MAC, "type", "bridge")
        for ns, dev, addresses in ((s, "outer0", (f"{SERVER4}/24", f"{SERVER6}/64")),
                                   (s, "inner0", (f"{UPLINK4}/24", f"{UPLINK6}/64")),
                                   (i, "eth0", (f"{INTERNET4}/24", f"{INTERNET6}/64"))):
            for a in addresses:
                add_address(ns, dev, a)
            ns.ip("link", "set", dev, "up")
        s.ip("route", "add", "default", "via", INTERNET4)
        s.ip("-6", "route", "add", "default", "via", INTERNET6)
        add_neighbour(s, "inner0", INTERNET6, INTERNET_MAC)
        add_neighbour(i, "eth0", UPLINK6, UPLINK_MAC)
        for a in PRIVATE4 + PRIVATE6:
            add_address(i, "lo", a)
        s.run("nft", "table inet outside { chain forward { type filter hook forward priority -100; "
                     "iifname outer0 drop; }; }")

    def client(self):
        """One more namespace on the outer network; .address4 and .address6 are its own."""
        n = len(self.clients)
        ns = self._namespace(f"c{n}")
        self.server.ip("link", "add", f"port{n}", "type", "veth", "peer", "name", "eth0", "netns", ns.name)
        self.server.ip("link", "set", f"port{n}", "master", "outer0", "up")
        ns.address4, ns.address6 = f"203.0.113.{10 + n}", f"2001:db8:0:1::{10 + n}"
        add_address(ns, "eth0", f"{ns.address4}/24")
        add_address(ns, "eth0", f"{ns.address6}/64")
        ns.ip("link", "set", "eth0", "up")
        add_neighbour(ns, "eth0", SERVER6, OUTER_MAC)
        ns.number = n
        self.clients.append(ns)
        return ns

    def elsewhere(self, *prefixes):
        """A client namespace that is at home in whole networks: every address of theirs is its own, and the
        server's way to them leads there."""
        ns = self.client()
        for prefix in prefixes:
            family, via = ("-6", ns.address6) if ":" in prefix else ("-4", ns.address4)
            ns.ip(family, "route", "add", "local", prefix, "dev", "lo")
            self.server.ip(family, "route", "add", prefix, "via", via)
        return ns

    def remove(self):
        if self in _living:
            _living.remove(self)
        while self.namespaces:
            self.namespaces.pop().remove()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


def add_address(ns, dev, address):
    """Adds an address that is usable at once (no duplicate address detection)."""
    nodad = ["nodad"] if ":" in address else []
    ns.ip("address", "add", address, "dev", dev, *nodad)


def add_neighbour(ns, dev, address, mac):
    """Says who an IPv6 address is. Asking works only when both links have been up for a second or two: until then the
    question has no address to come from, or nobody listens, and the first packets are late or lost."""
    ns.ip("neighbour", "replace", address, "lladdr", mac, "dev", dev, "nud", "permanent")


def sweep():
    """Removes namespaces and folders that a killed test run left behind."""
    for line in run("ip", "netns", "list").splitlines():
        m = re.match(r"(ik(\d+)x\d+(?:[si]|c\d+))\b", line)
        if m and not os.path.exists(f"/proc/{m.group(2)}"):
            ns = Namespace.__new__(Namespace)
            ns.name = m.group(1)
            try:
                ns.remove()
            except AssertionError:
                pass  # another run swept it first
    for path in pathlib.Path("/tmp").glob("ireko-e2e-*"):
        pid = path.name.rsplit("-", 1)[1]
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(path, ignore_errors=True)


@atexit.register
def _remove_all():
    for net in list(_living):
        net.remove()
    shutil.rmtree(f"/tmp/ireko-e2e-{os.getpid()}", ignore_errors=True)
