"""Captures, and what the tests read out of them."""
import pathlib
import signal
import struct
import subprocess
import tempfile
import time

import topology
from poll import Late, until


# tcpdump's buffer has room for so many packets as snaplen goes into it, however short they are. A segment between
# veths is at most 65296 bytes with its headers; from 65536 on, with tcpdump's own, it would take twice the room.
DATAGRAM, SEGMENT = 2048, 65400
WHOLE = {"udp": DATAGRAM, "tcp": SEGMENT}
# KiB: some 16,000 datagrams or 4,000 segments may wait while tcpdump does not get the processor.
ROOM, ROOM_SEGMENTS = 32768, 262144


class Capture:
    """tcpdump on one device of a namespace; packets() and tshark() after stop()."""

    def __init__(self, ns, device, expression="", snaplen=DATAGRAM):
        self.dir = tempfile.TemporaryDirectory(prefix="pcap-", dir=topology.temporary())
        # What is sent is captured as a card would send it: not many datagrams as one.
        ns.ip("link", "set", device, "gso_max_segs", "1")
        self.file = pathlib.Path(self.dir.name) / "capture.pcap"
        self.errors = open(pathlib.Path(self.dir.name) / "stderr", "w+")
        room = ROOM_SEGMENTS if snaplen == SEGMENT else ROOM
        self.process = ns.popen(["tcpdump", "-i", device, "-n", "-U", "--immediate-mode", "-s", snaplen, "-B", room, "-Z", "root",
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

    def openvpn(self):
        """All OpenVPN packets of UDP and TCP 1194 in order: (time, client's (address, port), to the server?, packet)."""
        return sorted(read_openvpn(self.file), key=lambda p: p[0])

    def tshark(self, *argv):
        """tshark's lines about the file."""
        return topology.run("tshark", "-n", "-r", self.file, *argv, timeout=240).splitlines()


def read_ip(file, protocol):
    """(time, source, destination, what is in it) of all IPv4 and IPv6 packets of a protocol."""
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
        if kind == b"\x08\x00" and p[23] == protocol:
            # A length of the packet cuts what the link has padded.
            length = struct.unpack_from(">H", p, 16)[0]
            yield sec + usec / 1e6, p[26:30], p[30:34], p[14 + (p[14] & 15) * 4:14 + length]
        elif kind == b"\x86\xdd" and p[20] == protocol:
            yield sec + usec / 1e6, p[22:38], p[38:54], p[54:]


def read_udp(file):
    for when, source, destination, p in read_ip(file, 17):
        sport, dport, length = struct.unpack_from(">HHH", p)
        yield when, source, sport, destination, dport, p[8:length]


def read_tcp(file):
    """What TCP connections carried, in order and once: (time, source, source port, destination, port, bytes)."""
    expected, early = {}, {}
    for when, source, destination, p in read_ip(file, 6):
        sport, dport, seq = struct.unpack_from(">HHI", p)
        flow, payload = (source, sport, destination, dport), p[(p[12] >> 4) * 4:]
        if p[13] & 2:  # SYN
            expected[flow], early[flow] = (seq + 1) & 0xffffffff, {}
            continue
        if flow not in expected or not payload:
            continue
        early[flow][seq] = max(payload, early[flow].get(seq, b""), key=len)
        for at in sorted(early[flow], key=lambda s: (s - expected[flow] + 0x80000000) & 0xffffffff):
            behind = (expected[flow] - at) & 0xffffffff
            if behind >= 0x80000000:
                break  # a hole before it
            fresh = early[flow].pop(at)[behind:]
            if fresh:
                expected[flow] = (expected[flow] + len(fresh)) & 0xffffffff
                yield (when, *flow, fresh)


def read_openvpn(file, port=1194):
    for when, source, sport, destination, dport, p in read_udp(file):
        if p and port in (sport, dport):
            yield when, (destination, dport) if sport == port else (source, sport), dport == port, p
    waiting = {}
    for when, source, sport, destination, dport, data in read_tcp(file):
        if port not in (sport, dport):
            continue
        flow = (source, sport, destination, dport)
        data = waiting.get(flow, b"") + data
        while len(data) >= 2 and len(data) >= 2 + (n := int.from_bytes(data[:2], "big")):
            yield when, (destination, dport) if sport == port else (source, sport), dport == port, data[2:2 + n]
            data = data[2 + n:]
        waiting[flow] = data


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


OPCODES = {3: "SOFT_RESET_V1", 4: "CONTROL_V1", 5: "ACK_V1", 6: "DATA_V1", 7: "HARD_RESET_CLIENT_V2",
           8: "HARD_RESET_SERVER_V2", 9: "DATA_V2", 10: "HARD_RESET_CLIENT_V3", 11: "CONTROL_WKC_V1"}


def opcode(packet):
    return OPCODES.get(packet[0] >> 3)


def ovpn_nonces(packets):
    """How often each (client, session of that client, direction, peer-id, key id, packet id) of OpenVPN data
    occurs. A session begins with a reset under a session id that was not seen before."""
    count, session = {}, {}
    for _, client, to_server, p in packets:
        if opcode(p) in ("HARD_RESET_CLIENT_V2", "HARD_RESET_CLIENT_V3") and to_server:
            session.setdefault(client, {})[p[1:9]] = True
        if opcode(p) == "DATA_V2" and len(p) >= 8:
            key = (client, len(session.get(client, ())), to_server, p[1:4], p[0] & 7, p[4:8])
            count[key] = count.get(key, 0) + 1
    return count
