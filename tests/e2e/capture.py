"""Captures, and what the tests read out of them."""
import pathlib
import signal
import struct
import subprocess
import tempfile
import time

import topology
from poll import Late, until


class Capture:
    """tcpdump on one device of a namespace; packets() and tshark() after stop()."""

    def __init__(self, ns, device, expression="", snaplen=2048):
        self.dir = tempfile.TemporaryDirectory(prefix="pcap-", dir=topology.temporary())
        self.file = pathlib.Path(self.dir.name) / "capture.pcap"
        self.errors = open(pathlib.Path(self.dir.name) / "stderr", "w+")
        self.process = ns.popen(["tcpdump", "-i", device, "-n", "-U", "--immediate-mode", "-s", snaplen, "-B", 32768, "-Z", "root",
                                 "-w", self.file] + ([expression] if expression else []),
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors)
        until(lambda: "listening on" in self._said(), 10, "tcpdump listens")

    def _said(self):
        return pathlib.Path(self.errors.name).read_text()

    def stop(self):
        """Ends it; a capture with holes proves nothing."""
        if self.process.poll() is None:
            # What it has not read yet when it is told to end it would not write.
            size = [-1, 0.0]

            def quiet():
                now = self.file.stat().st_size if self.file.exists() else 0
                if now != size[0]:
                    size[:] = [now, time.monotonic()]
                return time.monotonic() - size[1] > 0.3
            try:
                until(quiet, 5, "capture is read out")
            except Late:
                pass  # traffic goes on; its end is cut somewhere anyway
            self.process.send_signal(signal.SIGINT)
            self.process.wait(15)
            assert "\n0 packets dropped by kernel" in self._said(), self._said()
        return self

    def remove(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.errors.close()
        self.dir.cleanup()

    def udp(self):
        """All UDP datagrams: (time, source, source port, destination, destination port, payload)."""
        return list(read_udp(self.file))

    def tshark(self, *argv):
        """tshark's lines about the file."""
        return topology.run("tshark", "-n", "-r", self.file, *argv, timeout=240).splitlines()


def read_udp(file):
    data = pathlib.Path(file).read_bytes()
    magic, _, _, _, _, _, link = struct.unpack_from("<IHHiIII", data)
    assert magic == 0xa1b2c3d4 and link == 1, "Ethernet, microseconds"
    at = 24
    while at + 16 <= len(data):
        sec, usec, n, _ = struct.unpack_from("<IIII", data, at)
        at += 16
        p = data[at:at + n]
        at += n
        if len(p) < n:
            return
        kind = p[12:14]
        if kind == b"\x08\x00" and p[23] == 17:
            ip, source, destination = 14 + (p[14] & 15) * 4, p[26:30], p[30:34]
        elif kind == b"\x86\xdd" and p[20] == 17:
            ip, source, destination = 54, p[22:38], p[38:54]
        else:
            continue
        sport, dport, length = struct.unpack_from(">HHH", p, ip)
        yield sec + usec / 1e6, source, sport, destination, dport, p[ip + 8:ip + length]


def nonces(datagrams):
    """How often each (direction, receiver index, counter) of WireGuard data occurs."""
    count = {}
    for _, source, sport, destination, dport, p in datagrams:
        if len(p) >= 32 and p[:4] == b"\x04\0\0\0":
            # The key belongs to the receiver's index: the same whatever addresses it travels between.
            key = (sport == 51820, p[4:8], p[8:16])
            count[key] = count.get(key, 0) + 1
    return count


def handshakes(datagrams, kind):
    """WireGuard handshake datagrams of a type: 1 initiation, 2 response, 3 cookie."""
    length = {1: 148, 2: 92, 3: 64}[kind]
    return [d for d in datagrams if len(d[5]) == length and d[5][:4] == bytes([kind, 0, 0, 0])]
