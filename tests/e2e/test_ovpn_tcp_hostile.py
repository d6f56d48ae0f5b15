"""OpenVPN over TCP with people on the other side who are up to no good: connections that say nothing, or one byte a
second, or lengths that cannot be; resets; clients that read nothing; no descriptors left. Whoever else is connected
does not notice: their round trip stays what it was."""
import re
import select
import socket
import struct
import subprocess
import threading
import time

import pytest

import kinds
import ovpn_knock
import topology
import traffic
from poll import until

PORT = 1194
FIRST_S = 10         # for the first whole packet of a connection
MALFORMED = [b"\0\0", b"\xff\xff", b"\xff\xff" + bytes(3000), b"\x08\x01" + bytes(2049), b"\0\1\0", b"\0\x0eGET / HTTP/1.1",
             b"\x16\3\1\2\0\1\0\1\xfc\3\3" + bytes(100)]


@pytest.fixture(scope="module")
def house(module_gateway):
    """One tunnel over TCP whose round trip is watched, and an attacker at home in a network of its own."""
    g = module_gateway(nice=-10)  # the times are the gateway's, not those of a busy machine
    g.device_, g.tunnel = g.connected("watched", kinds.TCP, nice=-10)
    g.attacker = g.net.elsewhere("100.64.0.0/16")
    return g


def connection(ns, source=None):
    return ns.connect(topology.SERVER4, PORT, 5.0, source=source)


def round_trip(tunnel, count=60, interval=0.02):
    """(lost, median ms, worst ms) of pings through the tunnel."""
    r = subprocess.run(tunnel.ns.prefix() + [*traffic.SOON, "ping", "-n", "-c", str(count), "-i", str(interval), "-W", "2",
                                             topology.INTERNET4],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    answers = re.findall(r"icmp_seq=(\d+) .*time=([0-9.]+)", r.stdout)
    times = sorted(float(t) for _, t in answers)
    # For the last ones ping waits no longer than its interval: lost is what a later one has overtaken.
    last = max((int(n) for n, _ in answers), default=0)
    assert last > count - 5, r.stdout
    return last - len(times), times[len(times) // 2], times[-1]


def unharmed(g, figure, name, before):
    lost, median, worst = round_trip(g.tunnel)
    figure(f"{name}: round trip", f"median {median:.2f} ms, worst {worst:.1f} ms, {lost} lost; before {before[1]:.2f} ms")
    assert lost == 0 and median < before[1] * 3 + 2 and worst < 500
    assert g.tunnel.attempts() == 1, "the watched one stayed connected"


def closed_by_server(s, seconds):
    """The server ends the connection within so many seconds: how long it took."""
    start = time.monotonic()
    s.settimeout(seconds)
    try:
        while s.recv(4096):
            pass
    except (ConnectionResetError, BrokenPipeError):
        pass
    return time.monotonic() - start


@pytest.mark.parametrize("first", MALFORMED, ids=lambda b: b[:6].hex())
def test_malformed_frames_end_the_connection(house, first):
    g = house
    with connection(g.attacker) as s:
        s.sendall(first)
        assert closed_by_server(s, 5) < 5
    assert g.tunnel.ping(topology.INTERNET4)


def test_malformed_frame_behind_good_ones(house):
    """A reset that is answered, and then a length of 0."""
    g = house
    knock = ovpn_knock.Knock(g.provision("knocks", protocol="openvpn")[2]["profile"])
    with connection(g.attacker) as s:
        packet = knock.reset()
        s.sendall(struct.pack(">H", len(packet)) + packet)
        n, = struct.unpack(">H", exactly(s, 2))
        assert knock.accept(exactly(s, n))
        s.sendall(b"\0\0")
        assert closed_by_server(s, 5) < 5


def exactly(s, n):
    data = b""
    while len(data) < n:
        block = s.recv(n - len(data))
        assert block, "connection ended"
        data += block
    return data


def test_silent_and_slow_ones_are_closed(house, figure):
    """60 that say nothing and 60 that say one byte a second, from two addresses: all closed at the deadline."""
    g = house
    before = round_trip(g.tunnel)
    rss, fds = g.dataplane.rss_kb(), count_fds(g)
    reset = ovpn_knock.Knock(g.provision("drips", protocol="openvpn")[2]["profile"]).reset()
    frame = struct.pack(">H", len(reset)) + reset
    start = time.monotonic()
    silent = [connection(g.attacker, "100.64.1.1") for _ in range(60)]
    slow = [connection(g.attacker, "100.64.2.2") for _ in range(60)]
    unharmed(g, figure, "120 idle connections", before)
    figure("120 idle connections: memory", f"{g.dataplane.rss_kb() - rss} kB more")
    assert g.dataplane.rss_kb() - rss < 120 * 16 + 1024
    open_, sent = set(silent + slow), 0
    while open_ and time.monotonic() < start + FIRST_S + 10:
        for s in select.select(list(open_), [], [], 1.0)[0]:
            if not quietly(s.recv, 100):
                open_.discard(s)
        for s in [s for s in slow if s in open_]:
            quietly(s.send, frame[sent:sent + 1])
        sent += 1
    took = time.monotonic() - start
    figure("all were closed after", f"{took:.1f} s")
    assert not open_ and FIRST_S - 2 < took < FIRST_S + 4
    for s in silent + slow:
        s.close()
    until(lambda: count_fds(g) <= fds + 2, 5, "descriptors are given back")


def quietly(call, argument):
    try:
        return call(argument)
    except OSError:
        return b""


def count_fds(g):
    return len(topology.os.listdir(f"/proc/{g.dataplane.pid}/fd"))


def test_one_address_can_not_take_all(house):
    """One address opens 300 connections: a few are kept, another address still gets in."""
    g = house
    mine = []
    for _ in range(300):
        try:
            mine.append(connection(g.attacker, "100.64.3.3"))
        except OSError:
            break
    kept = until(lambda: (n := still_open(mine)) <= 80 and n, 8, "most are closed at once")
    _, other = g.connected("other", kinds.TCP)
    assert kept and other.ping(topology.INTERNET4)
    other.remove()
    for s in mine:
        s.close()


def still_open(sockets):
    return sum(1 for s in sockets if not select.select([s], [], [], 0)[0])


def test_resets(house, figure):
    """500 connections that end with a RST, at every stage."""
    g = house
    before, fds = round_trip(g.tunnel), count_fds(g)
    packet = ovpn_knock.Knock(g.provision("resets", protocol="openvpn")[2]["profile"]).reset()
    frame = struct.pack(">H", len(packet)) + packet
    for i in range(500):
        with connection(g.attacker, f"100.64.4.{1 + i % 200}") as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.sendall(frame[:(0, 1, 2, 100, len(frame))[i % 5]])
    unharmed(g, figure, "500 resets", before)
    until(lambda: count_fds(g) <= fds + 2, 15, "descriptors are given back")


def test_clients_that_read_nothing(house, figure):
    """Three clients download and then stop reading, with full queues: nobody else waits for them."""
    g = house
    before, rss = round_trip(g.tunnel), g.dataplane.rss_kb()
    frozen = [g.connected(f"frozen-{i}", kinds.TCP)[1] for i in range(3)]
    there = g.own(g.net.internet.socket())
    there.bind((topology.INTERNET4, 9100))
    there.settimeout(5)
    sources = [ask(tunnel, there) for tunnel in frozen]
    for tunnel in frozen:
        tunnel.pause()
    # UDP does not slow down for a reader that does not read: their queues fill up.
    dropped, stop = g.drops().get("stream_full", 0), threading.Event()
    pusher = threading.Thread(target=push, args=(there, sources, stop), daemon=True)
    pusher.start()
    try:
        until(lambda: g.drops().get("stream_full", 0) > dropped + 100, 30, "their queues are full")
        unharmed(g, figure, "three that read nothing", before)
        figure("memory meanwhile", f"{g.dataplane.rss_kb() - rss} kB more")
        assert g.dataplane.rss_kb() - rss < 8 * 1024
    finally:
        stop.set()
        pusher.join()
    for tunnel in frozen:
        tunnel.resume()
        tunnel.connect()  # and they are served again
        tunnel.remove()


def ask(tunnel, there):
    """Where an answer has to go so that it comes out of that tunnel."""
    with tunnel.ns.socket() as s:
        s.sendto(b"open", (topology.INTERNET4, 9100))
        return there.recvfrom(100)[1]


def push(there, sources, stop):
    """1,000 packets a second to each."""
    while not stop.is_set():
        for source in sources:
            there.sendto(bytes(1200), source)
        time.sleep(0.001)


def test_no_descriptor_left(house, figure):
    """The process has no descriptor for one more connection: it survives, and serves again when there are some."""
    g = house
    before = round_trip(g.tunnel)
    soft = re.search(r"^Max open files +(\d+)", open(f"/proc/{g.dataplane.pid}/limits").read(), re.M).group(1)
    limit_descriptors(g, count_fds(g) + 8)
    try:
        mine = [connection(g.attacker, f"100.64.5.{1 + i}") for i in range(40)]
        start, cpu = time.monotonic(), cpu_seconds(g)
        unharmed(g, figure, "no descriptor left", before)
        busy = (cpu_seconds(g) - cpu) / (time.monotonic() - start)
        figure("no descriptor left: busy", f"{busy * 100:.0f} % of a core")
        assert busy < 0.5, "it does not spin"
        for s in mine:
            s.close()
    finally:
        limit_descriptors(g, soft)
    _, other = g.connected("after", kinds.TCP)
    assert other.ping(topology.INTERNET4)
    other.remove()


def limit_descriptors(g, soft):
    """By the daemon's own user, who may, whatever capabilities this process has."""
    topology.run("setpriv", "--reuid", "ireko", "--regid", "ireko", "--clear-groups", "prlimit", "--pid", g.dataplane.pid,
                 f"--nofile={soft}:")


def cpu_seconds(g):
    fields = open(f"/proc/{g.dataplane.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100
