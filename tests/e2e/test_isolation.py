"""What a device must not reach it does not reach, and each refusal is counted by name."""
import re
import select
import socket
import subprocess
import time

import pytest

import inner
import kinds
import noise
import topology
import traffic
from poll import until

N = 50
PORT = 9000
V4, V6 = socket.AF_INET, socket.AF_INET6


def family_of(host):
    return V6 if ":" in host else V4


@pytest.fixture(scope="module", params=[kinds.WIREGUARD, kinds.UDP], ids=str)
def house(request, module_gateway):
    """Two connected devices a and b of different users, sinks everywhere."""
    g = module_gateway()
    # A stock OpenVPN client drops by itself what goes to the server's outer address; a hostile one does not.
    more = {"options": ["--allow-recursive-routing"]} if request.param.protocol == "openvpn" else {}
    g.device_a, g.a = g.connected("a", request.param, **more)
    g.device_b, g.b = g.connected("b", request.param)
    own = g.ns.run("ip", "-o", "address", "show", "dev", "ireko0")
    g.tunnel_addresses = re.findall(r"inet6? ([0-9a-f.:]+)/", own)
    assert len(g.tunnel_addresses) == 2
    g.sinks = {(ns.name, family): g.own(traffic.Sink(ns, PORT, family))
               for ns in (g.ns, g.net.internet, g.b.ns) for family in (V4, V6)}
    return g


def sender(tunnel, family, source=None, kind=socket.SOCK_DGRAM):
    """A socket of the client whose packets go into the tunnel whatever the destination."""
    s = tunnel.ns.socket(family, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, tunnel.device.encode())
    s.bind((source or (tunnel.address6 if family == V6 else tunnel.address4), 0))
    return s


def send(tunnel, host, n=N, source=None, text=b"knock", port=PORT):
    """n datagrams that begin with that text. Each is longer than the one before, so that it is a packet of its own
    for the firewall; then as many that may be one super-packet, which counts as one."""
    with sender(tunnel, family_of(host), source) as s:
        for i in [*range(n), *[n] * n]:
            s.sendto(text + b"." * i, (host, port))


def tcp_answered(tunnel, targets, seconds=1.2):
    """Connects to all (host, port) at once through the tunnel: those that answered, by a connection or a reset."""
    asking = {}
    for host, port in targets:
        s = sender(tunnel, family_of(host), kind=socket.SOCK_STREAM)
        s.setblocking(False)
        s.connect_ex((host, port))
        asking[s] = (host, port)
    poller, answered, deadline = select.poll(), [], time.monotonic() + seconds
    by_fd = {s.fileno(): s for s in asking}
    for fd in by_fd:
        poller.register(fd, select.POLLOUT)
    while (left := deadline - time.monotonic()) > 0:
        for fd, _ in poller.poll(left * 1000):
            poller.unregister(fd)
            answered.append(asking[by_fd[fd]])
    for s in asking:
        s.close()
    return answered


def nothing_arrived(g, text):
    for (name, family), sink in g.sinks.items():
        got = [p for p in sink.take() if p[0].startswith(text)]
        assert not got, f"{name} got {len(got)} from {got[0][1]}"


def counts(g, counter, before, n):
    """The named nft counter rose by at least n."""
    seen = [0]

    def enough():
        seen[0] = g.nft_counters()[counter] - before[counter]
        return seen[0] >= n and seen[0]
    try:
        return until(enough, 5, f"{counter} counts {n}")
    except AssertionError as late:
        raise AssertionError(f"{late}, counted {seen[0]}") from None


def test_internet_is_reached(house):
    """The sinks work: what is allowed arrives, translated; a TCP connection is answered, by a reset."""
    assert len(tcp_answered(house.a, [(topology.INTERNET4, PORT), (topology.INTERNET6, PORT)])) == 2
    for host, uplink in ((topology.INTERNET4, topology.UPLINK4), (topology.INTERNET6, topology.UPLINK6)):
        sink = house.sinks[(house.net.internet.name, family_of(host))]
        sink.take()
        send(house.a, host, 3, text=b"hello")
        got = []
        until(lambda: got.extend(sink.take()) or len(got) >= 3, 3, "allowed packets arrive")
        assert {p[1][0].removeprefix("::ffff:") for p in got} == {uplink}


@pytest.mark.parametrize("family", [V4, V6], ids=["IPv4", "IPv6"])
def test_device_to_device(house, figure, family):
    g = house
    host = g.b.address6 if family == V6 else g.b.address4
    assert g.b.ping(topology.INTERNET4), "b's own tunnel is up, so it could be reached"
    before, rx = g.nft_counters(), g.b.bytes()["rx_packets"]
    send(g.a, host, text=b"to b")
    counted = counts(g, "drop_device_to_device", before, N)
    figure("drop_device_to_device", f"{counted} of {N}")
    assert not g.a.ping(host, seconds=1)
    assert not tcp_answered(g.a, [(host, PORT)])
    nothing_arrived(g, b"to b")
    assert g.b.bytes()["rx_packets"] - rx <= 1, "nothing came out of b's tunnel"


def host_addresses(g):
    return g.tunnel_addresses + [topology.SERVER4, topology.SERVER6, topology.UPLINK4, topology.UPLINK6]


def test_host_services(house, figure):
    """The host's own services, on every address it has, for UDP and TCP; ping answers in the tunnel only."""
    g = house
    listener = g.ns.socket(V6, socket.SOCK_STREAM)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("::", 9001))
    listener.listen()
    listener.settimeout(0.2)
    with listener:
        # It listens: the host itself gets through.
        g.ns.connect(topology.SERVER4, 9001).close()
        listener.accept()[0].close()
        for host in host_addresses(g):
            before = g.nft_counters()
            send(g.a, host, text=b"to host")
            assert not tcp_answered(g.a, [(host, port) for port in (9001, g.http_port, 22)])
            # The tunnel's own port, from inside the tunnel, is no service either.
            send(g.a, host, 5, port=51820, text=b"to host")
            figure(f"drop_to_host {host}", counts(g, "drop_to_host", before, N + 3 + 5))
            in_tunnel = host in g.tunnel_addresses
            assert ping_through(g.a, host) == in_tunnel, f"ping {host}"
        nothing_arrived(g, b"to host")
        with pytest.raises(socket.timeout):
            listener.accept()


def ping_through(tunnel, host):
    """Ping by the tunnel device, although the address may be on the outer network as well."""
    r = subprocess.run(tunnel.ns.prefix() + ["ping", "-n", "-q", "-c", "1", "-W", "1", "-I", tunnel.device, host],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return ", 1 received" in r.stdout


# Only WireGuard's packets are written by hand here; what is inside of them is checked by the same code for both.
by_hand = pytest.mark.parametrize("house", [kinds.WIREGUARD], ids=str, indirect=True)


@pytest.fixture(scope="module")
def raw(house):
    """A device whose inner packets the test writes byte by byte: send(bytes), and its addresses."""
    g = house
    _, device, issued = g.provision("raw")
    asking = noise.Initiator(issued["profile"])
    s = g.own(g.net.client().socket())
    assert asking.handshake(None, sock=s)

    class Raw:
        address4, address6 = device["address4"], device["address6"]

        @staticmethod
        def send(plain, n=1):
            for _ in range(n):
                s.sendto(asking.data(plain), asking.endpoint)
    return Raw


@by_hand
def test_raw_packets_pass(house, raw):
    """What the next tests write is well formed: to an allowed destination it arrives."""
    for source, host in ((raw.address4, topology.INTERNET4), (raw.address6, topology.INTERNET6)):
        sink = house.sinks[(house.net.internet.name, family_of(host))]
        raw.send(inner.udp(source, host, PORT, b"raw"))
        got = []
        until(lambda: got.extend(p[0] for p in sink.take()) or b"raw" in got, 3, "raw packet arrives")


@by_hand
def test_loopback_of_the_host(house, raw):
    """127.0.0.1 and ::1 through the tunnel: the REST port is there, and stays out of reach."""
    for source, hosts in ((raw.address4, ("127.0.0.1", "127.0.0.53", "0.0.0.0")), (raw.address6, ("::1", "::"))):
        for host in hosts:
            raw.send(inner.udp(source, host, PORT, b"to loopback"), N)
            raw.send(inner.tcp_syn(source, host, house.http_port), N)
    raw_is_through(house, raw)
    nothing_arrived(house, b"to loopback")


@by_hand
@pytest.mark.parametrize("verdict", ["spoofed_source", "bad_inner"])
def test_crafted_inner_packets(house, raw, figure, verdict):
    """Sources and headers that no stack would send, each counted by its verdict."""
    g, to4, to6 = house, topology.INTERNET4, topology.INTERNET6
    good4, good6 = inner.udp(raw.address4, to4, PORT, b"crafted"), inner.udp(raw.address6, to6, PORT, b"crafted")
    packets = {
        "spoofed_source": [inner.udp(a, to4, PORT, b"crafted") for a in
                           (g.a.address4, "10.77.0.1", "0.0.0.0", "127.0.0.1", "255.255.255.255", "10.77.0.0",
                            "224.0.0.1", topology.INTERNET4)]
        + [inner.udp(a, to6, PORT, b"crafted") for a in
           (g.a.address6, f"::ffff:{raw.address4}", "::1", "::", "fe80::1", "ff02::1", topology.INTERNET6)],
        "bad_inner": [b"\x45", good4[:19], good6[:39], b"\0" * 40, b"\xff" * 64, b"\x70" + good4[1:],
                      # total length beyond the packet, and shorter than its own header
                      good4[:2] + b"\xff\xff" + good4[4:], good4[:2] + b"\0\x10" + good4[4:],
                      b"\x44" + good4[1:], good6[:4] + b"\xff\xff" + good6[6:]],
    }[verdict]
    before = g.drops()[verdict]
    for p in packets:
        raw.send(p, N)
    want = len(packets) * N
    counted = until(lambda: (d := g.drops()[verdict] - before) >= want and d, 5, f"{verdict} counts {want}")
    figure(verdict, f"{counted} of {want}")
    assert counted <= want + 10  # the stock clients' kernels talk a little, too
    nothing_arrived(g, b"crafted")
    raw_is_through(g, raw)


def raw_is_through(g, raw):
    """Everything sent before has been dealt with."""
    sink = g.sinks[(g.net.internet.name, V4)]
    raw.send(inner.udp(raw.address4, topology.INTERNET4, PORT, b"last"))
    got = []
    until(lambda: got.extend(p[0] for p in sink.take()) or b"last" in got, 3, "the last packet arrives")
    assert set(got) == {b"last"}


def test_private_networks(house, figure):
    g = house
    for host in topology.PRIVATE4 + topology.PRIVATE6:
        # The host itself reaches them, so that only the rules stand in between.
        s = g.ns.socket(family_of(host))
        s.sendto(b"host knocks", (host, PORT))
        s.close()
        sink = g.sinks[(g.net.internet.name, family_of(host))]
        got = []
        until(lambda: got.extend(sink.take()) or any(p[0] == b"host knocks" for p in got), 3, f"host reaches {host}")
        before = g.nft_counters()
        send(g.a, host, text=b"to private")
        figure(f"drop_private {host}", counts(g, "drop_private", before, N))
    assert not tcp_answered(g.a, [(host, PORT) for host in topology.PRIVATE4 + topology.PRIVATE6])
    nothing_arrived(g, b"to private")


def test_link_local_and_multicast(house):
    g = house
    link = g.net.internet.run("ip", "-6", "-o", "address", "show", "dev", "eth0", "scope", "link")
    link_local = re.search(r"(fe80:[0-9a-f:]+)/", link).group(1)
    for host in (link_local, "ff02::1", "ff05::1"):
        with g.a.ns.socket(V6) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, g.a.device.encode())
            index = socket_index(g.a)
            s.bind((g.a.address6, 0))
            for _ in range(N):
                s.sendto(b"to link", (host, PORT, 0, index))
    for host in ("224.0.0.1", "239.1.2.3", "255.255.255.255", "10.77.255.255"):
        with sender(g.a, V4) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 8)
            for _ in range(N):
                s.sendto(b"to link", (host, PORT))
    # Everything that was sent has passed the gateway when a ping behind it is answered.
    assert g.a.ping(topology.INTERNET4, count=3)
    nothing_arrived(g, b"to link")


def socket_index(tunnel):
    text = tunnel.ns.ip("-o", "link", "show", tunnel.device)
    return int(text.split(":")[0])


@pytest.mark.parametrize("whose", ["another device", "the server", "the internet", "its own outer", "nobody"])
def test_spoofed_source(house, figure, whose):
    g = house
    four, six = {
        "another device": (g.b.address4, g.b.address6),
        "the server": tuple(sorted(g.tunnel_addresses, key=lambda a: ":" in a)),
        "the internet": (topology.INTERNET4, topology.INTERNET6),
        "its own outer": (g.a.ns.address4, g.a.ns.address6),
        "nobody": ("192.0.2.99", "2001:db8:99::99"),
    }[whose]
    before = g.drops()["spoofed_source"]
    for source, host in ((four, topology.INTERNET4), (six, topology.INTERNET6)):
        added = source not in (g.a.ns.address4, g.a.ns.address6)
        if added:
            length = 128 if ":" in source else 32
            topology.add_address(g.a.ns, g.a.device, f"{source}/{length}")
        try:
            # The internet's own address is now the client's, so another one of it is the target.
            target = {topology.INTERNET4: "192.0.2.1", topology.INTERNET6: "2001:db8:77::1"}[host] \
                if source == host else host
            send(g.a, target, source=source, text=b"spoofed")
        finally:
            if added:
                g.a.ns.ip("address", "del", f"{source}/{length}", "dev", g.a.device)
    counted = until(lambda: (d := g.drops()["spoofed_source"] - before) >= 4 * N and d, 5, "spoofed_source counts")
    figure("spoofed_source", f"{counted} of {4 * N}")
    assert counted <= 4 * N + 10
    nothing_arrived(g, b"spoofed")
    assert g.a.ping(topology.INTERNET4) and g.a.ping(topology.INTERNET6), "its own addresses still work"


def test_nobody_reaches_a_device_from_outside(house):
    """Packets for tunnel addresses that arrive on another interface than the tunnel."""
    g = house
    before = g.nft_counters()
    internet = g.net.internet
    internet.ip("route", "add", "10.77.0.0/16", "via", topology.UPLINK4)
    internet.ip("-6", "route", "add", f"{g.a.address6}/128", "via", topology.UPLINK6)
    try:
        rx = g.b.bytes()["rx_packets"]
        for host in (g.b.address4, g.a.address6):
            with internet.socket(family_of(host)) as s:
                for _ in range(N):
                    s.sendto(b"from outside", (host, PORT))
        counts(g, "drop_from_outside", before, 2 * N)
        nothing_arrived(g, b"from outside")
        assert g.b.bytes()["rx_packets"] - rx <= 1
    finally:
        internet.ip("route", "del", "10.77.0.0/16")
        internet.ip("-6", "route", "del", f"{g.a.address6}/128")
