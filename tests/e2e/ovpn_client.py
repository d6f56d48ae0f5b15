"""A stock OpenVPN client: Debian's openvpn, fed with the profile as it was downloaded. What a test wants
different from it stands on the command line, as a user would put it there."""
import re
import signal
import subprocess
import time

import topology
from client import Tunnel
from poll import until

UP = "Initialization Sequence Completed"
# Room for what a held-up client has not read yet: it must not lose what the test counts.
ROOM = ["--rcvbuf", "212992", "--sndbuf", "212992"]


def block(profile, name):
    """The inside of <name> ... </name>, None when there is none."""
    m = re.search(rf"<{name}>\n(.*?)</{name}>\n?", profile, re.S)
    return m and m.group(1)


def with_block(profile, name, text):
    """The profile with another <name>, or without one (None)."""
    assert block(profile, name) is not None, f"<{name}> is in the profile"
    fresh = f"<{name}>\n{text.strip()}\n</{name}>\n" if text else ""
    return re.sub(rf"<{name}>\n.*?</{name}>\n?", lambda m: fresh, profile, flags=re.S)


class OpenVpn(Tunnel):
    """One openvpn process in a client namespace, with its own device and log."""

    def __init__(self, ns, profile, options=(), ahead=(), transport=None, nice=0):
        """options: more of the command line, after the profile; ahead: before it. transport: "udp" or "tcp" alone of
        the two that the profile has."""
        super().__init__(ns, profile, "ov", "openvpn.log", nice)
        self.transport = transport
        self.ahead, self.options = list(ahead), [str(o) for o in options]
        if transport:
            self.options += ["--proto-force", {"udp": "udp", "tcp": "tcp-client"}[transport]]

    def values(self, key):
        """What stands behind a word of the profile, a list for each line."""
        outside = re.sub(r"<(\S+)>\n.*?</\1>\n?", "", self.profile, flags=re.S)
        return [line.split()[1:] for line in outside.splitlines() if line.split()[:1] == [key]]

    def start(self):
        # redirect-gateway wants a way out that it can turn round.
        for family, server in (("-4", topology.SERVER4), ("-6", topology.SERVER6)):
            self.ns.ip(family, "route", "replace", "default", "via", server, "dev", "eth0")
        profile = self.dir / "profile.ovpn"
        profile.write_text(self.profile)
        profile.chmod(0o600)
        self.started = time.monotonic()
        self.spawn(["openvpn", *self.ahead, "--config", profile, "--dev", self.device, "--dev-type", "tun", "--verb", "3", *ROOM,
                    *self.options], cwd=self.dir)
        return self

    def up(self):
        """How often the tunnel came up."""
        return self.text().count(UP)

    def wait_up(self, seconds=15, times=1):
        """Waits until the client says that it is connected; it must not have ended before."""
        until(lambda: self.up() >= times or not self.alive(), seconds, "openvpn connects", every=0.005)
        self.came_up = time.monotonic()
        assert self.up() >= times, f"openvpn ended with {self.process.poll()}:\n{self.tail()}"
        return self

    def up_after(self):
        """Seconds from the start of the process to the first time that the tunnel came up."""
        return self.came_up - self.started

    def connect(self, seconds=15):
        """Waits until the tunnel carries packets."""
        self.wait_up(seconds)
        self.find_addresses()
        self.ns.ip("link", "set", self.device, "txqueuelen", "5000")
        return super().connect(seconds)

    def find_addresses(self):
        def usable():
            """The kernel lets nobody use an IPv6 address at once: packets would go out with another one."""
            text = self.ns.ip("-o", "address", "show", "dev", self.device, "scope", "global")
            return "tentative" not in text and text
        text = until(usable, 3, "addresses are usable")
        self.address4 = next(iter(re.findall(r"inet (\S+)/", text)), None)
        self.address6 = next(iter(re.findall(r"inet6 (\S+)/", text)), None)

    def tail(self, n=60):
        return "\n".join(self.text().splitlines()[-n:])

    def found(self, pattern):
        """All places of the log that match."""
        return re.findall(pattern, self.text())

    def attempts(self):
        """Handshakes of a new session that the server answered at all."""
        return self.text().count("TLS: Initial packet from")

    def handshakes(self):
        """TLS handshakes completed: the first one of a session and every renegotiation."""
        return len(self.found(r"Control Channel: TLS"))

    def tls_version(self):
        return self.found(r"Control Channel: TLSv([0-9.]+)")[-1]

    def pushed(self):
        """The options of the last PUSH_REPLY."""
        return self.found(r"PUSH: Received control message: 'PUSH_REPLY,(.*)'")[-1].split(",")

    def peer_id(self):
        return int(next(o for o in self.pushed() if o.startswith("peer-id ")).split()[1])

    def cipher(self):
        return next(o for o in self.pushed() if o.startswith("cipher ")).split()[1]

    def refusal(self):
        """The reason of the last AUTH_FAILED: "" when there was none in it, None when there was no AUTH_FAILED."""
        found = self.found(r"AUTH: Received control message: AUTH_FAILED(?:,(.*))?")
        return found[-1] if found else None

    def port(self):
        text = self.ns.run("ss", "-Hnp", "--udp", "--tcp", "-a")
        mine = [line.split() for line in text.splitlines() if f"pid={self.process.pid}," in line]
        return int(mine[0][4].rsplit(":", 1)[1])

    def move_port(self, new):
        """From now on its packets come from another port, as behind a NAT that forgot it."""
        self.ns.run("nft", "table inet moved { chain out { type nat hook postrouting priority srcnat; "
                           f"oifname eth0 meta l4proto udp udp dport 1194 masquerade to :{new}; }}; }}")

    def pause(self):
        """It reads nothing any more, and stays connected."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        if self.alive():
            self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.resume()
        super().stop()

    def remove(self):
        """Says goodbye, as on SIGTERM, and does not linger for a second as it would by itself."""
        self.resume()
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(0.2)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        super().remove()

    def wait_refused(self, seconds=20):
        """Waits until the server has said no, or the handshake failed; it must never have been connected.
        Returns: the reason of the AUTH_FAILED, or None."""
        until(lambda: self.refusal() is not None or not self.alive() or self.up()
              or any(x in self.text() for x in ("TLS handshake failed", "Received fatal SSL alert")),
              seconds, "openvpn is refused")
        assert not self.up(), f"it was let in:\n{self.tail()}"
        return self.refusal()
