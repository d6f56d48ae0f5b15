"""UDP of every kind through a tunnel, both ways: every datagram must come, whole, unchanged, and in order in its
flow. Sent in bursts that fit every queue, the next one when all of the last has come: so none may be lost."""
import select
import socket
import struct
import time
import typing

import topology

HEAD = struct.Struct("<IHH")          # number, flow, length
IPV6_DSTOPTS, IPV6_MTU, IP_MTU_DISCOVER, SO_NO_CHECK, SO_RCVBUFFORCE, UDP_SEGMENT = 59, 24, 10, 11, 33, 103
DSTOPTS = bytes([0, 0, 1, 4, 0, 0, 0, 0])   # no next header yet, 8 bytes, padding only
LONGEST = 8972   # with its headers 9,000 in IPv4
BURST = 24   # a stock client's socket holds some 90 datagrams


class Kind(typing.NamedTuple):
    family: int
    ecn: bool = False         # another codepoint for every datagram
    no_sum: bool = False      # IPv4 without a checksum
    options: bool = False     # IPv6 with an extension header
    run: int = 0              # datagrams of that length, as one for the kernel
    shortest: int = 1
    longest: int = 1200


V4, V6 = socket.AF_INET, socket.AF_INET6
KINDS = [Kind(V4), Kind(V6), Kind(V4, ecn=True), Kind(V6, ecn=True), Kind(V4, no_sum=True), Kind(V6, options=True),
         Kind(V4, run=1000), Kind(V6, run=700), Kind(V4, run=33),
         Kind(V4, longest=LONGEST), Kind(V6, longest=LONGEST), Kind(V4, shortest=1500, longest=LONGEST)]
# What IPv6 sends whole, whatever IPV6_MTU says, and the tunnel does not take: lost for the kernel to learn from.
V6_GAP = range(1225, 1460)


class Flow:
    """One socket pair; `this` sends to `there`, whoever of the two is behind the tunnel."""

    def __init__(self, number, kind, blob, this, there, to):
        self.number, self.kind, self.blob = number, kind, blob
        self.this, self.there, self.to = this, there, to
        self.sent = self.received = 0
        self.waiting = []     # (number, payload, traffic class)
        level, name, tos = ((socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, socket.IPV6_TCLASS) if kind.family == V6
                            else (socket.IPPROTO_IP, 13, socket.IP_TOS))   # 13: IP_RECVTOS
        there.setsockopt(level, name, 1)
        self.tos = (level, tos)
        if kind.no_sum:
            this.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        if kind.options:
            this.setsockopt(socket.IPPROTO_IPV6, IPV6_DSTOPTS, DSTOPTS)
        if kind.run:
            this.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, kind.run)

    def payload(self, size):
        # Cut short it still differs from the one before.
        head = HEAD.pack(self.sent, self.number, size)
        start = self.sent * 37 % (len(self.blob) - LONGEST)
        self.sent += 1
        return (head + self.blob[start:start + size])[:size]

    def send_burst(self, rng, most):
        if self.kind.run:
            parts = [self.payload(self.kind.run) for _ in range(rng.randint(2, most))]
            parts[-1] = parts[-1][:rng.randint(HEAD.size, self.kind.run)]
            self.waiting += [(p, 0) for p in parts]
            self.this.sendto(b"".join(parts), self.to)
            return
        for _ in range(most if self.kind.longest <= 2000 else most // 8 + 1):
            ecn = rng.choice([0, 1, 2]) if self.kind.ecn else 0
            if self.kind.ecn:
                self.this.setsockopt(*self.tos, ecn)
            # Mostly of one size, so that runs form, and then again not.
            size = rng.choice([self.kind.longest, self.kind.longest, rng.randint(self.kind.shortest, self.kind.longest),
                               rng.randint(self.kind.shortest, min(self.kind.longest, 1200)) if self.kind.shortest < 1200 else
                               self.kind.shortest])
            if self.kind.family == V6 and size in V6_GAP:
                size = V6_GAP.stop
            p = self.payload(size)
            self.waiting.append((p, ecn))
            self.this.sendto(p, self.to)

    def take(self, what):
        """Reads all that has come and compares."""
        while self.waiting:
            try:
                p, control, _, self.source = self.there.recvmsg(LONGEST + 100, 64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            want, ecn = self.waiting.pop(0)
            tos = next(data[0] for level, kind, data in control if level == self.tos[0])
            assert p[:HEAD.size] == want[:HEAD.size], f"{what}, {self.kind}: {named(p)} came where {named(want)} was due"
            assert p == want and tos & 3 == ecn, f"{what}, {self.kind}: another datagram, or its codepoint: {tos}"
            self.received += 1


def named(payload):
    """What is known of a datagram, for people."""
    if len(payload) < HEAD.size:
        return f"one of {len(payload)} bytes, {payload.hex()}"
    number, _, size = HEAD.unpack(payload[:HEAD.size])
    return f"number {number} of {size} bytes"


def fitting(mtu):
    """The kinds for such a tunnel: a long IPv6 packet that fits it and not the link behind it is not forwarded, and that is
    its sender's to learn."""
    return [k for k in KINDS if mtu < 9000 or k.family == V4 or k.longest < 2000]


def lasting(seconds):
    """Rounds for so long, one at least."""
    until = time.monotonic() + seconds
    yield
    while time.monotonic() < until:
        yield


def burst(flows, rng, what, most):
    for f in flows:
        f.send_burst(rng, most)
    waiting = [f for f in flows if f.waiting]
    while waiting:
        ready, _, _ = select.select([f.there for f in waiting], [], [], 3)
        assert ready, f"{what}: lost: " + "; ".join(f"{len(f.waiting)} of {f.sent}, {f.kind}" for f in waiting)
        for f in waiting:
            f.take(what)
        waiting = [f for f in waiting if f.waiting]


def run(client_ns, internet_ns, rng, rounds, kinds=KINDS, ways=("up", "down")):
    """rounds: a number, or an iterable. Returns: how many datagrams went each way."""
    blob = rng.randbytes(3 * LONGEST)
    up, down = [], []
    flows = {"up": up, "down": down}
    for number, kind in enumerate(kinds):
        host = topology.INTERNET6 if kind.family == V6 else topology.INTERNET4
        inside, outside = client_ns.socket(kind.family), internet_ns.socket(kind.family)
        outside.bind((host, 7000 + number))
        for s in (inside, outside):
            # Nothing is lost for the kernel to learn how long packets may be.
            if kind.family == V6:
                s.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU, 1280)
            else:
                s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)
            s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        inside.connect((host, 7000 + number))
        inside.send(b"hello")   # the way back through the translation
        outside.settimeout(3)
        _, back = outside.recvfrom(100)
        outside.settimeout(None)
        up.append(Flow(number, kind, blob, inside, outside, (host, 7000 + number)))
        down.append(Flow(number, kind, blob, outside, inside, back))
    try:
        for _ in range(rounds) if isinstance(rounds, int) else rounds:
            # One direction after the other, then each flow alone: runs that others interrupt, and whole ones.
            for way in ways:
                burst(flows[way], rng, way, 3)
            for way in ways:
                for f in flows[way]:
                    burst([f], rng, f"{way}, alone", BURST)
    finally:
        for f in up:
            f.this.close()
            f.there.close()
    return sum(f.received for f in up), sum(f.received for f in down)
