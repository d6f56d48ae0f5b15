"""Stock clients, fed with the profile as it was downloaded: what they have in common, and WireGuard's
(wireguard-go and wg). OpenVPN's is in ovpn_client.py."""
import itertools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import topology
from poll import until

_numbers = itertools.count()


class Tunnel:
    """One tunnel in a client namespace: a process with a device. Beside what stands here a client has
    start(), handshakes() and attempts() (how many were completed and begun so far), port() (its own, outer)
    and move_port(new)."""

    def __init__(self, ns, profile, device, log, nice=0):
        self.ns, self.profile, self.nice = ns, profile, nice
        self.device = f"{device}{os.getpid() % 10**7}n{next(_numbers) % 1000}"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="client-", dir=topology.temporary()))
        self.log = self.dir / log
        self.process = None
        self.address4 = self.address6 = None

    def spawn(self, argv, **kw):
        """Its process, in its namespace, with its log."""
        with open(self.log, "ab") as log:
            nice = ["nice", "-n", str(self.nice)] if self.nice else []
            self.process = self.ns.popen(nice + argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **kw)

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def bytes(self):
        """What went through the client's own TUN device: inner bytes."""
        return self.ns.link_bytes(self.device)

    def ping(self, host, count=1, seconds=2):
        """True when every one of count pings, sent at once, was answered. (When one was, ping waits for the others no longer
        than its interval, whatever -W says: so that is as long, and nothing is lost that is only late.)"""
        r = subprocess.run(self.ns.prefix() + ["ping", "-n", "-q", "-c", str(count), "-l", str(count), "-i", str(seconds),
                                               "-W", str(seconds), host],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        m = re.search(r"(\d+) packets transmitted, (\d+) received", r.stdout)
        return bool(m) and m.group(1) == m.group(2) == str(count)

    def connect(self, seconds=10):
        """Waits until the tunnel carries packets."""
        until(lambda: self.ping(topology.INTERNET4, seconds=1), seconds, "tunnel is up")
        return self

    def stop(self):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def remove(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Client(Tunnel):
    """What wg-quick would do, without touching the machine's resolver: strip + setconf, addresses, MTU and
    routes from the profile."""

    def __init__(self, ns, profile, nice=0):
        # The UAPI socket's name is the device's, in one folder for all namespaces.
        super().__init__(ns, profile, "wg", "wireguard-go.log", nice)
        self.addresses = self.values("Address")
        self.address4 = next((a.split("/")[0] for a in self.addresses if ":" not in a), None)
        self.address6 = next((a.split("/")[0] for a in self.addresses if ":" in a), None)

    def values(self, key):
        """All comma-separated values of a key of the profile."""
        found = re.findall(rf"^\s*{key}\s*=\s*(.*?)\s*$", self.profile, re.M)
        return [v.strip() for line in found for v in line.split(",") if v.strip()]

    def start(self):
        conf = self.dir / f"{self.device}.conf"
        conf.write_text(self.profile)
        conf.chmod(0o600)
        stripped = self.dir / "stripped.conf"
        stripped.write_text(topology.run("wg-quick", "strip", conf))
        self.spawn(["wireguard-go", "-f", self.device],
                   env={**os.environ, "WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "verbose"})
        sock = pathlib.Path(f"/var/run/wireguard/{self.device}.sock")
        until(lambda: sock.exists() or self.process.poll() is not None, 10, "wireguard-go starts")
        assert self.process.poll() is None, self.log.read_text()
        self.wg("setconf", self.device, stripped)
        for a in self.addresses:
            topology.add_address(self.ns, self.device, a)
        # A held-up wireguard-go must not lose what the test counts.
        self.ns.ip("link", "set", self.device, "mtu", self.values("MTU")[0] if self.values("MTU") else "1420",
                   "txqueuelen", "5000", "up")
        for prefix in self.values("AllowedIPs"):
            family = "-6" if ":" in prefix else "-4"
            self.ns.ip(family, "route", "replace", prefix, "dev", self.device)
        return self

    def wg(self, *argv):
        return self.ns.run("wg", *argv)

    def show(self, what):
        """One figure of the only peer, as `wg show` has it."""
        return self.wg("show", self.device, what).split("\t", 1)[1].strip()

    def show_interface(self, what):
        return self.wg("show", self.device, what).strip()

    def handshake_at(self):
        """Unix seconds, 0: never."""
        return int(self.show("latest-handshakes"))

    def transfer(self):
        """(received, sent) outer bytes."""
        return tuple(int(n) for n in self.show("transfer").split())

    def initiations(self):
        """How many handshake initiations it has sent (from its log)."""
        return self.text().count("Sending handshake initiation")

    attempts = initiations

    def calls(self):
        """How many handshake initiations came from the server (from its log)."""
        return self.text().count("Received handshake initiation")

    def responses(self):
        return self.text().count("Received handshake response")

    handshakes = responses

    def port(self):
        return int(self.show_interface("listen-port"))

    def move_port(self, new):
        """From now on it sends from another port, as behind a NAT that forgot it."""
        self.wg("set", self.device, "listen-port", new)

    def remove(self):
        sock = pathlib.Path(f"/var/run/wireguard/{self.device}.sock")
        super().remove()
        sock.unlink(missing_ok=True)
