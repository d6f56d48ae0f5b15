"""What is measured, and how: one function for each figure. All of them return plain dictionaries."""
import ctypes
import json
import os
import pathlib
import re
import socket
import statistics
import struct
import subprocess
import time

import daemons
import topology
import traffic

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = daemons.build_dir() / "tests" / "bench"
GIB = 1 << 30
SMALL = 64           # bytes of an inner packet
SMALL_RATE = 150000  # offered, packets a second: more than a server of today takes
SMALL_PORT = 9100
LOADED_PING = 0.02   # seconds between two
ETH_P_IP, ETH_P_ALL, PACKET_OUTGOING, SO_TIMESTAMPNS = 0x0800, 3, 4, 35  # of <linux/if_ether.h>, if_packet.h, asm/socket.h


def cpu_seconds(pids):
    """Of all threads of these processes, also of those that have ended; to the nanosecond."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def machine_seconds():
    """(busy, stolen) CPU seconds of the whole machine, to the hundredth."""
    n = [int(x) for x in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(n[:3]) + n[5] + n[6]) / 100, n[7] / 100


class Meter:
    """With Meter(pids) as m: m.cpu (the processes'), m.wall, m.busy and m.stolen (the machine's)."""

    def __init__(self, pids):
        self.pids = pids

    def __enter__(self):
        self.busy, self.stolen = machine_seconds()
        self.wall, self.cpu = time.monotonic(), cpu_seconds(self.pids)
        return self

    def __exit__(self, *exc):
        self.cpu, self.wall = cpu_seconds(self.pids) - self.cpu, time.monotonic() - self.wall
        busy, stolen = machine_seconds()
        self.busy, self.stolen = busy - self.busy, stolen - self.stolen


def idle_share(pids, seconds=1.0):
    """CPU-seconds a second when nothing happens: what is taken off where few things happen in a long time."""
    with Meter(pids) as m:
        time.sleep(seconds)
    return m.cpu / m.wall


def memory_kb(pids, key="VmRSS"):
    return sum(int(re.search(rf"{key}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) for pid in pids)


# ---- round trips ----

def _times(text):
    return [float(t) for t in re.findall(r"time=([0-9.]+) ms", text)]


def _ping(ns, count, interval):
    return ns.popen(["ping", "-n", "-c", count, "-i", interval, "-W", "2", topology.INTERNET4],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _spread(times):
    assert times, "no ping was answered"
    times = sorted(times)
    return {"median_ms": statistics.median(times), "p99_ms": times[min(len(times) - 1, len(times) * 99 // 100)],
            "answered": len(times)}


def _frames(ns, device):
    """A socket that keeps every frame of a device with the time; nobody is woken for it."""
    s = ns.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    s.bind((device, ETH_P_ALL))
    s.setblocking(False)
    return s


def _carries(packet):
    """Whether an IPv4 packet is more than an acknowledgement of TCP."""
    head = (packet[0] & 15) * 4
    if packet[9] != socket.IPPROTO_TCP:
        return True
    return struct.unpack_from("!H", packet, 2)[0] > head + (packet[head + 12] >> 4) * 4


def _answer_times(frames, client):
    """Milliseconds from a packet of the client to the next one that goes to it."""
    asked, times, client = None, [], socket.inet_aton(client)
    while True:
        try:
            packet, ancillary, _, address = frames.recvmsg(2048, 64)
        except BlockingIOError:
            return times
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
        at = seconds * 10**9 + nanoseconds
        if address[1] != ETH_P_IP or not _carries(packet):
            continue
        if packet[12:16] == client and address[2] != PACKET_OUTGOING:
            asked = at
        elif packet[16:20] == client and asked:
            times.append((at - asked) / 1e6)
            asked = None


def ping(system, count=24, interval=0.05):
    """Nothing else is under way. server_ms is the part of it from the server's outer device and back there: its own,
    with what waking it takes and the kernel's part of it, and with the machine behind it."""
    with _frames(system.net.server, "outer0") as frames:
        out, _ = _ping(system.client.ns, count, interval).communicate(timeout=60)
        inside = _answer_times(frames, system.client.ns.address4)
    assert inside, "no answer was seen at the server"
    return {**_spread(_times(out)), "server_ms": statistics.median(inside)}


# ---- TCP ----

def tcp(system, streams, up, seconds, loaded_ping=False):
    """iperf3 from the client to the machine behind the server, or back. Beside throughput and the server's CPU the
    round trip meanwhile, when asked for."""
    argv = ["-t", seconds, "-P", streams] + ([] if up else ["-R"])
    asking = _ping(system.client.ns, int(seconds / LOADED_PING * 0.9), LOADED_PING) if loaded_ping else None
    with Meter(system.pids()) as m:
        said = traffic.iperf(system.client.ns, *argv)["end"]
    got = said["sum_received"]["bytes"]
    assert got > 0, "nothing came through"
    result = {"mbit": said["sum_received"]["bits_per_second"] / 1e6, "bytes": got, "cpu_s_gib": m.cpu / got * GIB,
              "busy_s_gib": m.busy / got * GIB, "stolen_s": m.stolen, "retransmits": said["sum_sent"].get("retransmits")}
    if asking:
        result["ping"] = _spread(_times(asking.communicate(timeout=60)[0]))
    return result


# ---- small datagrams ----

def _drop_all(sock):
    """From now on the socket throws away what comes, in the kernel, without an error to the sender."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # return 0
    sock.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", 1, ctypes.addressof(program)))


def _way_through(system):
    """Two connected sockets, (client's, internet's): the address translation between them knows both."""
    far = system.net.internet.socket()
    far.bind((topology.INTERNET4, SMALL_PORT))
    near = system.client.ns.socket()
    near.connect((topology.INTERNET4, SMALL_PORT))
    far.settimeout(0.5)
    for _ in range(10):
        near.send(b"hello")
        try:
            far.connect(far.recvfrom(64)[1])
            return near, far
        except socket.timeout:
            continue
    raise AssertionError("nothing comes through the tunnel")


def _datagrams(ns):
    """UDP datagrams that a namespace was given, whatever became of them. A device counts those that the kernel keeps as
    one as one."""
    names, values = [line.split()[1:] for line in ns.run("cat", "/proc/net/snmp").splitlines() if line.startswith("Udp:")]
    counters = dict(zip(names, map(int, values)))
    return sum(counters[name] for name in ("InDatagrams", "NoPorts", "InErrors"))


def small(system, up, seconds):
    """Datagrams of 64 inner bytes, more of them than the tunnel takes; counted where they come out."""
    near, far = _way_through(system)
    sender, sink = (near, far) if up else (far, near)
    _drop_all(sink)
    count = (lambda: _datagrams(system.net.internet)) if up else (lambda: system.client.bytes()["rx_packets"])
    with sender, sink:
        before = count()
        with Meter(system.pids()) as m:
            out = subprocess.run([PROGRAMS / "blast", str(sender.fileno()), str(SMALL - 28), str(SMALL_RATE), str(seconds)],
                                 pass_fds=[sender.fileno()], stdout=subprocess.PIPE, check=True, timeout=seconds + 20).stdout
        got = count() - before
    assert got > 0, "nothing came through"
    return {"offered": json.loads(out)["sent"] / m.wall, "pps": got / m.wall, "cpu_ns": m.cpu / got * 1e9,
            "busy_ns": m.busy / got * 1e9, "stolen_s": m.stolen}


# ---- saturation ----

def _outer(system):
    if system.tcp:
        sock = system.knock_ns.connect(topology.SERVER4, system.port)
        sock.settimeout(None)
        return sock
    sock = system.knock_ns.socket()
    sock.connect((topology.SERVER4, system.port))
    return sock


def _saturate(system, size, packets):
    inner = system.net.internet.socket()
    inner.bind((topology.INTERNET4, 7))
    with _outer(system) as outer, inner:
        fds = [outer.fileno(), inner.fileno()]
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        try:
            done = subprocess.run([PROGRAMS / "saturate", system.profile_file, *map(str, fds), topology.INTERNET4, system.tun,
                                   str(size), str(packets), *map(str, system.pids())],
                                  pass_fds=fds, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        finally:
            os.sched_setaffinity(0, range(os.cpu_count()))
    assert done.returncode == 0, done.stderr
    result = {}
    for line in done.stdout.splitlines():
        f = json.loads(line)
        assert f["got"] > 0, f"nothing came through: {f}"
        result[f["direction"]] = {"cpu_ns": f["cpu_ns"] / f["got"], "pps": f["got"] / f["seconds"],
                                  "lost": max(0, 1 - f["got"] / f["sent"]), "under_way": f["under_way"]}
    return result


def saturate(system, size, packets):
    """{"open": {"cpu_ns", "pps", "lost"}, "seal": ...}: see saturate.c. The server has the first CPU for itself. A
    handshake that is lost in what is left of the run before is tried once more."""
    try:
        return _saturate(system, size, packets)
    except AssertionError:
        return _saturate(system, size, packets)


def pin(pids, cpus):
    """All threads that these processes have now."""
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(task), cpus)


# ---- in the process ----

def forward(batches):
    """Every line of forward.c."""
    out = subprocess.run([PROGRAMS / "forward", str(batches)], stdout=subprocess.PIPE, check=True, text=True, timeout=300).stdout
    return [json.loads(line) for line in out.splitlines()]
