"""Traffic with a known outcome: HTTP with SHA-256, DNS, iperf3, counted packet streams."""
import array
import bisect
import hashlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile

import topology
from poll import until
from rest import Connection

HERE = pathlib.Path(__file__).resolve().parent
HTTP_PORT, IPERF_PORT, STREAM_PORT = 8000, 5201, 7000
NAME, NAME4, NAME6 = "answer.test", "198.51.100.77", "2001:db8:0:2::77"


class Service:
    """A process in a namespace that is ended with the test."""

    def __init__(self, ns, argv, **kw):
        self.out = tempfile.TemporaryFile()
        self.process = ns.popen(argv, stdin=subprocess.DEVNULL, stdout=self.out, stderr=subprocess.STDOUT, **kw)

    def text(self):
        self.out.seek(0)
        return self.out.read().decode(errors="replace")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def listening(ns, host, port):
    try:
        ns.connect(host, port, 1.0).close()
        return True
    except OSError:
        return False


class WebServer(Service):
    """Serves `size` bytes at /blob and answers a PUT with the SHA-256 of what came."""

    def __init__(self, ns, size):
        self.dir = tempfile.TemporaryDirectory(prefix="web-", dir=topology.temporary())
        self.file = pathlib.Path(self.dir.name) / "blob"
        digest = hashlib.sha256()
        with open(self.file, "wb") as f:
            left = size
            while left:
                block = os.urandom(min(left, 1 << 20))
                f.write(block)
                digest.update(block)
                left -= len(block)
        self.size, self.sha256 = size, digest.hexdigest()
        super().__init__(ns, [sys.executable, HERE / "webserver.py", HTTP_PORT, self.file])
        until(lambda: listening(ns, topology.INTERNET4, HTTP_PORT), 10, "web server listens")

    def stop(self):
        super().stop()
        self.dir.cleanup()


def download(ns, host=topology.INTERNET4, port=HTTP_PORT, progress=None, timeout=30.0):
    """GET /blob on one connection: (bytes, SHA-256, local address). progress(bytes, socket) is called now and then."""
    c = Connection(ns, host, port, timeout)
    c.request("GET", "/blob")
    sock = c.sock
    r = c.getresponse()
    assert r.status == 200
    digest, n = hashlib.sha256(), 0
    while True:
        block = r.read1(1 << 18)
        if not block:
            break
        digest.update(block)
        n += len(block)
        if progress:
            progress(n, sock)
    c.close()
    return n, digest.hexdigest()


def upload(ns, file, host=topology.INTERNET4, port=HTTP_PORT, timeout=30.0):
    """PUT of a file: SHA-256 of what the server got."""
    c = Connection(ns, host, port, timeout)
    with open(file, "rb") as f:
        c.request("PUT", "/", f, {"Content-Length": str(os.path.getsize(file))})
        r = c.getresponse()
        text = r.read().decode()
    c.close()
    assert r.status == 200, text
    return text


class NameServer(Service):
    """dnsmasq that knows one name and asks nobody."""

    def __init__(self, ns):
        super().__init__(ns, ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null",
                              "--bind-interfaces", "--interface=eth0", "--pid-file", "--user=root",
                              f"--address=/{NAME}/{NAME4}", f"--address=/{NAME}/{NAME6}"])
        until(lambda: listening(ns, topology.INTERNET4, 53), 10, "name server listens")


def dig(ns, server, kind):
    return ns.run("dig", "+short", "+time=3", "+tries=2", f"@{server}", NAME, kind).split()


# Whoever counts losses must not be the one who loses: on a busy machine a receiver is soon behind its socket.
SOON = ["nice", "-n", "-10"]
ROOM = ["--window", "208K"]  # for UDP: twice what a socket has by itself, and what everybody may have


class Iperf(Service):
    def __init__(self, ns):
        super().__init__(ns, [*SOON, "iperf3", "--server", "--forceflush", "--port", IPERF_PORT])
        until(lambda: f"listening on {IPERF_PORT}" in self.text(), 10, "iperf3 listens")


def iperf(ns, *argv, host=topology.INTERNET4):
    """One run of the iperf3 client: its JSON. A server that still cleans up is asked again."""
    def once():
        r = subprocess.run(ns.prefix() + [*SOON, "iperf3", "--json", "--client", host, "--port", str(IPERF_PORT),
                                          *map(str, argv)],
                           stdout=subprocess.PIPE, text=True, timeout=60)
        answer = json.loads(r.stdout)
        # The server is not always done with the test before; then it closes its socket and opens another.
        busy = any(x in answer.get("error", "") for x in ("busy", "reset by peer", "refused"))
        assert busy or "error" not in answer, answer["error"]
        return None if busy else answer
    return until(once, 10, "iperf3 server is free", every=0.2)


def overflowed(ns):
    """UDP packets that sockets of this namespace have had no room for: lost by whoever should have read them."""
    text = ns.run("cat", "/proc/net/snmp", "/proc/net/snmp6")
    names, values = [line.split() for line in text.splitlines() if line.startswith("Udp:")]
    six = next(line.split()[1] for line in text.splitlines() if line.startswith("Udp6RcvbufErrors"))
    return int(values[names.index("RcvbufErrors")]) + int(six)


# ---- counted streams ----

def tool(name, *libraries):
    """The program of tests/e2e/NAME.c, compiled when that is newer. libraries: of build/plain, and flags."""
    program = HERE.parents[1] / "build" / "e2e" / name
    needs = [HERE / f"{name}.c", *(x for x in libraries if isinstance(x, pathlib.Path))]
    if not program.exists() or any(program.stat().st_mtime < x.stat().st_mtime for x in needs):
        program.parent.mkdir(parents=True, exist_ok=True)
        fresh = program.with_name(f"{name}.{os.getpid()}")
        topology.run("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o", fresh, needs[0],
                     *libraries)
        fresh.rename(program)
    return program


class End:
    """One end of a stream."""

    def __init__(self, ns, mode, host, port, rate, size, device=None, nice=-15):
        self.log = tempfile.NamedTemporaryFile(prefix="stream-", dir=topology.temporary())
        argv = ["nice", "-n", nice, tool("stream"), mode, host, port, rate, size, self.log.name]
        self.process = ns.popen(argv + ([device] if device else []), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.result = None

    def received(self):
        """How many packets so far (a twentieth of a second late at most)."""
        return os.path.getsize(self.log.name) // 24

    def records(self, skip=0):
        """[(number, sent, received)] with times in seconds of the monotonic clock."""
        a = array.array("Q")
        with open(self.log.name, "rb") as f:
            f.seek(skip * 24)
            data = f.read()
        a.frombytes(data[:len(data) // 24 * 24])
        return [(a[i], a[i + 1] / 1e9, a[i + 2] / 1e9) for i in range(0, len(a), 3)]

    def last_received(self):
        n = self.received()
        return self.records(n - 1)[0][2] if n else 0.0

    def stop_sending(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGUSR1)

    def finish(self):
        if self.result is None:
            out, _ = self.process.communicate(timeout=30)
            self.result = json.loads(out)
        return self.result


class Direction:
    """What became of one direction's packets."""

    def __init__(self, sent, records):
        numbers = [r[0] for r in records]
        seen = set(numbers)
        self.sent, self.failed = sent["sent"], sent["failed"]
        self.received = len(seen)
        self.duplicates = len(numbers) - len(seen)
        self.missing = sorted(set(range(self.sent)) - seen)
        self.records = records
        times = [r[2] for r in records]
        self.times = times
        gaps = [(b - a, a) for a, b in zip(times, times[1:])]
        self.longest_gap = max(gaps)[0] if gaps else 0.0

    @property
    def lost(self):
        return len(self.missing)

    def first_after(self, moment):
        """Time of the first packet received after a moment, or None."""
        i = bisect.bisect_right(self.times, moment)
        return self.times[i] if i < len(self.times) else None

    def first_sent_after(self, moment):
        """Time received of the first packet that was sent after a moment, or None."""
        return next((r[2] for r in self.records if r[1] > moment), None)

    def __str__(self):
        ranges = []
        for n in self.missing:
            if ranges and ranges[-1][1] == n - 1:
                ranges[-1][1] = n
            else:
                ranges.append([n, n])
        return (f"{self.sent} sent, {self.lost} lost {ranges[:5]}, {self.duplicates} twice, {self.failed} refused, "
                f"longest gap {self.longest_gap * 1000:.0f} ms")


class Stream:
    """Both ends: client (connects) and listener. Each sends `rate` packets a second to the other."""

    def __init__(self, client_ns, listener_ns, host=topology.INTERNET4, rate=1000, size=200, port=STREAM_PORT,
                 device=None):
        self.namespaces = {client_ns, listener_ns}
        self.overflowed = -sum(map(overflowed, self.namespaces))
        self.listener = End(listener_ns, "listen", host, port, rate, size)
        self.client = End(client_ns, "connect", host, port, rate, size, device)
        self.rate = rate

    def ends(self):
        return (self.client, self.listener)

    def wait_flowing(self, seconds=10, packets=100):
        """Both directions deliver: that many packets more than now."""
        marks = [e.received() for e in self.ends()]
        until(lambda: all(e.received() >= m + packets for e, m in zip(self.ends(), marks)), seconds,
              "stream flows both ways")
        return self

    def stop(self):
        """Ends the stream: (up, down), two Directions. .overflowed: packets for which a socket at one of its ends, the
        stock client's or ours, had no room, for nobody was there to read."""
        for e in self.ends():
            e.stop_sending()
        sent_up, sent_down = self.client.finish(), self.listener.finish()
        self.overflowed += sum(map(overflowed, self.namespaces))
        return (Direction(sent_up, self.listener.records()), Direction(sent_down, self.client.records()))

    def nothing_lost(self, up, down, least):
        """Asserts that each sent more than so many, and that all came through. When not: how many of them the ends dropped
        themselves, because they were not there to read."""
        for d in (up, down):
            assert d.sent > least and (d.lost, d.duplicates, d.failed) == (0, 0, 0), f"{d}; {self.overflowed} dropped by the ends"

    def kill(self):
        for e in self.ends():
            if e.process.poll() is None:
                e.process.kill()
                e.process.wait()


class Sink:
    """A UDP socket in a namespace that says what arrived on it."""

    def __init__(self, ns, port, family):
        self.socket = ns.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.socket.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        self.socket.setblocking(False)

    def take(self):
        """[(payload, source)] of all that waits."""
        got = []
        while True:
            try:
                got.append(self.socket.recvfrom(2048))
            except BlockingIOError:
                return got

    def stop(self):
        self.socket.close()
