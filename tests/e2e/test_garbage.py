"""Garbage, truncated, replayed and bit-flipped datagrams against the sanitizer build: no answer, no crash,
no growth, and whoever was there before notices nothing."""
import os
import time

import pytest

import capture
import inner
import kinds
import noise
import ovpn_knock
import topology
from poll import until

BUILD = os.environ.get("IREKO_TEST_ASAN_BUILD", "build/asan")
WARM, STORM = 20_000, int(os.environ.get("STORM", 120_000))
GROWTH_KB = 16 * 1024


@pytest.fixture(params=[kinds.WIREGUARD], ids=str)
def attacked(request, gateway):
    g = gateway(build=BUILD)
    g.kind = request.param
    g.device_, g.tunnel = g.connected("laptop", g.kind, nice=-10)
    g.attacker = g.net.client()
    return g


both = pytest.mark.parametrize("attacked", [kinds.WIREGUARD, kinds.UDP], ids=str, indirect=True)
openvpn = pytest.mark.parametrize("attacked", [kinds.UDP], ids=str, indirect=True)


def recorded(g):
    """Real datagrams towards the server: handshakes, data of a stream that already arrived."""
    wire = g.own(capture.Capture(g.ns, "outer0", "udp dst port 51820 or udp dst port 1194", snaplen=2048))
    _, visitor = g.connected(f"short-lived-{len(g.owned)}", g.kind)
    stream = g.stream(g.tunnel, size=120).wait_flowing(packets=300)
    stream.stop()
    visitor.remove()
    wire.stop()
    all_ = [d[5] for d in wire.udp()]
    if g.kind == kinds.WIREGUARD:
        first = [m for m in all_ if m[:1] == b"\1"]
        data = [m for m in all_ if m[:1] == b"\4"]
    else:
        data = [m for m in all_ if capture.opcode(m) == "DATA_V2"]
        first = [m for m in all_ if capture.opcode(m) not in ("DATA_V2", None)]
    assert first and len(data) > 300
    return first, data


def flipped(rng, m):
    """Never what it was: two flips may meet in one bit."""
    was, m = m, bytearray(m)
    while bytes(m) == was:
        for _ in range(rng.choice((1, 1, 1, 2, 8))):
            bit = rng.randrange(len(m) * 8)
            m[bit // 8] ^= 1 << bit % 8
    return bytes(m)


# Each makes one datagram that deserves no answer.
def noise_of_any_length(rng, first, data):
    return rng.randbytes(min(rng.choice((rng.randrange(64), rng.randrange(1600), rng.randrange(1600), 9000)), 9000))


def typed_garbage(rng, first, data):
    """A header that is right, or almost, and nothing behind it."""
    kind = rng.choice((1, 2, 3, 4, 4, 4, rng.randrange(256)))
    length = rng.choice((148, 92, 64, 32, 31, 33, rng.randrange(4, 1600)))
    return bytes([kind, 0, 0, 0]) + rng.randbytes(max(length - 4, 0))


def truncated(rng, first, data):
    m = rng.choice((rng.choice(first), rng.choice(data)))
    return m[:rng.randrange(len(m))]


def extended(rng, first, data):
    return rng.choice((rng.choice(first), rng.choice(data))) + rng.randbytes(rng.randrange(1, 200))


def typed_garbage_of_openvpn(rng, first, data):
    head = bytes([rng.choice((*range(3, 12), 9, 10, rng.randrange(32))) << 3 | rng.choice((0, 0, 0, rng.randrange(8)))])
    length = rng.choice((14, 22, 50, 54, 66, 353, 1206, 15, 49, 353, rng.randrange(1, 1600)))
    return head + rng.randbytes(max(length - 3, 0)) + rng.choice((b"\1\x2b", b"\0\0", b"\xff\xff", rng.randbytes(2)))


def flipped_handshake(rng, first, data):
    m = rng.choice(first)
    return flipped(rng, m[:132]) + bytes(16) if m[0] == 1 else flipped(rng, m)


def flipped_data(rng, first, data):
    return flipped(rng, rng.choice(data))


def replayed_data(rng, first, data):
    return rng.choice(data)


def spliced(rng, first, data):
    a, b = rng.choice(data), rng.choice(first)
    at = rng.randrange(1, min(len(a), len(b)))
    return (a[:at] + b[at:], b[:at] + a[at:])[rng.randrange(2)]


KINDS = [noise_of_any_length, typed_garbage, typed_garbage_of_openvpn, truncated, extended, flipped_handshake,
         flipped_data, replayed_data, spliced]


def storm(g, rng, first, data, n):
    """n datagrams of all kinds from the attacker, over both outer families, paced a little so that most arrive."""
    four, six = g.attacker.socket(), g.attacker.socket(topology.socket.AF_INET6)
    for i in range(n):
        m = KINDS[i % len(KINDS)](rng, first, data)
        s, host = (four, topology.SERVER4) if i & 64 else (six, topology.SERVER6)
        s.sendto(m, (host, 51820 if i & 128 else 1194))
        if i % 64 == 0:
            time.sleep(0.001)
    four.close()
    six.close()


@both
def test_garbage(attacked, rng, figure):
    g = attacked
    first, data = recorded(g)
    heard = g.own(capture.Capture(g.attacker, "eth0", "udp src port 51820 or udp src port 1194 or tcp or icmp "
                                                     "or icmp6[0] == 1 or icmp6[0] == 4"))
    storm(g, rng, first, data, WARM)
    drops = g.drops()
    rss = {d.name: d.rss_kb() for d in g.daemons}
    fds = {d.name: count_fds(d.pid) for d in g.daemons}
    stream = g.stream(g.tunnel).wait_flowing()
    start = time.monotonic()
    storm(g, rng, first, data, STORM)
    figure("storm", f"{STORM} datagrams in {time.monotonic() - start:.1f} s")
    up, down = stream.stop()
    for name, d in (("up", up), ("down", down)):
        figure(f"the running tunnel meanwhile, {name}", d)
        assert d.duplicates == 0, "a replayed packet was delivered"
        assert d.lost <= d.sent / 200, "at most 0.5 % lost"
    after = until(lambda: g.drops(), 5, "status")
    figure("counted", {k: after[k] - drops[k] for k in after if after[k] != drops[k]})
    counted = sum(after[k] - drops[k] for k in after)
    assert counted > STORM / 2, "most of it was looked at"
    for verdict in ("malformed", "unknown_session", "bad_tag", "replay", "bad_mac1")[:5 if g.kind == kinds.WIREGUARD else 4]:
        assert after[verdict] > drops[verdict], f"{verdict} was tried"
    for d in g.daemons:
        grown = d.rss_kb() - rss[d.name]
        figure(f"{d.name} grew by", f"{grown} kB of {rss[d.name]} kB")
        assert d.alive() and grown < GROWTH_KB
        assert count_fds(d.pid) <= fds[d.name] + 2
        assert d.log.stat().st_size < 8 << 20, "the log was not flooded"
    heard.stop()
    answers = heard.udp()
    assert not answers, f"{len(answers)} answers, first {answers[0][5][:16].hex()}"
    assert not heard.tshark(), "nothing at all came back to the attacker"
    still_works(g)


def count_fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def still_works(g):
    assert g.tunnel.ping(topology.INTERNET4, count=5)
    _, fresh = g.connected(f"newcomer-{len(g.owned)}", g.kind)
    assert fresh.ping(topology.INTERNET6)
    s = g.session_of(g.device_)
    assert s["endpoint"].startswith(g.tunnel.ns.address4 + ":"), "a replay moved the endpoint"


def test_replayed_handshakes(attacked, figure):
    """A recorded initiation, again: from another place and from its own; no answer, nothing moves."""
    g = attacked
    first, _ = recorded(g)
    s = until(lambda: g.session_of(g.device_), 3, "session")
    heard = g.own(capture.Capture(g.attacker, "eth0", "udp src port 51820"))
    sock = g.attacker.socket()
    before = g.drops()

    def replay(n):
        for i in range(n):
            sock.sendto(first[i % len(first)], (topology.SERVER4, 51820))
            time.sleep(0.0005)

    def fresh_one_is_answered(name):
        # Until the control plane has dealt with the last of them, a fresh identity is answered behind them.
        assert noise.Initiator(g.provision(name)[2]["profile"]).handshake(g.net.client(), tries=5)

    replay(500)
    fresh_one_is_answered("between")
    assert not heard.stop().udp(), "a replayed initiation was answered"
    heard = g.own(capture.Capture(g.attacker, "eth0", "udp src port 51820"))
    replay(2000)
    fresh_one_is_answered("asking")
    heard.stop()
    got = heard.udp()
    figure("2,000 replays", f"{len(capture.handshakes(got, 2))} responses, {len(capture.handshakes(got, 3))} cookies; " +
           str({k: v - before[k] for k, v in g.drops().items() if v != before[k]}))
    assert not capture.handshakes(got, 2), "a replayed initiation was answered"
    # So many from one place are load. A cookie is then the right answer to a right mac1: to the place that asked, and
    # smaller than the question.
    assert len(got) == len(capture.handshakes(got, 3)) <= 2000
    again = g.session_of(g.device_)
    assert again["id"] == s["id"] and again["endpoint"] == s["endpoint"]
    still_works(g)


def test_wrong_in_one_place(attacked, rng):
    """Initiations with a right mac1 and one thing wrong inside: whoever has the server's public key can
    send them. Silence, and the identity still works afterwards."""
    g = attacked
    _, _, issued = g.provision("target")
    ns = g.net.client()
    asking = noise.Initiator(issued["profile"])
    stranger = noise.Initiator(issued["profile"], noise.new_key()[0])
    assert asking.handshake(ns)
    stale = asking.initiation(when=time.time() - 3600)
    with ns.socket() as s:
        s.settimeout(1.5)
        s.sendto(stale, asking.endpoint)
        s.sendto(stranger.initiation(), asking.endpoint)
        for at in range(4, 116, 7):
            m = bytearray(asking.initiation())
            m[at] ^= 1 << rng.randrange(8)
            changed = asking.finish(bytes(m[:116]))
            if at >= 8:  # the sender index is the client's own affair
                s.sendto(changed, asking.endpoint)
        with pytest.raises(TimeoutError):
            answer = s.recvfrom(2048)
            raise AssertionError(f"answered: {answer[0].hex()}")
    assert asking.handshake(ns)


def test_session_with_hostile_counters(attacked):
    """Data with a valid key and a counter that was used, jumps, or is at the end of its range."""
    g = attacked
    _, device, issued = g.provision("counting")
    ns = g.net.client()
    asking = noise.Initiator(issued["profile"])
    before = g.drops()
    with ns.socket() as s:
        assert asking.handshake(ns, sock=s)
        keepalive = asking.data()
        for _ in range(100):
            s.sendto(keepalive, asking.endpoint)
        for counter in (10_000, 5_000, 1, 2**60 + 1, 10_001, 2**64 - 2**13 - 1, 2**64 - 1):
            asking.counter = counter
            s.sendto(asking.data(), asking.endpoint)
    after = until(lambda: (d := g.drops())["replay"] - before["replay"] >= 100 and d, 5, "replays are counted")
    assert after["expired"] > before["expired"], "a counter at its limit is refused"
    assert g.dataplane.alive()
    still_works(g)


def spoofed(ns, source, source_port, payload):
    """Sends a datagram of somebody else."""
    with ns.socket(topology.socket.AF_INET, topology.socket.SOCK_RAW, topology.socket.IPPROTO_RAW) as s:
        s.sendto(inner.udp(source, topology.SERVER4, 1194, payload, source_port), (topology.SERVER4, 0))


@openvpn
def test_replayed_openvpn_handshakes(attacked, figure):
    """Recorded control packets again, from another place and in the client's own name. A reset may be answered, without
    anything being kept, to where it came from; the rest is met with silence, and no tunnel moves."""
    g = attacked
    wire = g.own(capture.Capture(g.ns, "outer0", "udp port 1194"))
    device, visitor = g.connected("visitor", g.kind)
    s = until(lambda: g.session_of(device), 3, "session")
    wire.stop()
    control = [d[5] for d in wire.udp() if d[4] == 1194 and capture.opcode(d[5]) != "DATA_V2"]
    heard = g.own(capture.Capture(g.attacker, "eth0", "udp src port 1194"))
    rounds = 100
    with g.attacker.socket() as sock:
        for i in range(rounds):
            for m in control:
                sock.sendto(m, (topology.SERVER4, 1194))
                spoofed(g.attacker, visitor.ns.address4, visitor.port(), m) if i % 10 == 0 else None
            time.sleep(0.002)
    resets = rounds * sum(capture.opcode(m) == "HARD_RESET_CLIENT_V3" for m in control)
    assert visitor.ping(topology.INTERNET4, count=5)
    answers = [d[5] for d in heard.stop().udp()]
    figure("answers", f"{len(answers)} to {resets} resets and {rounds * len(control) - resets} others")
    assert {capture.opcode(m) for m in answers} <= {"HARD_RESET_SERVER_V2"} and len(answers) <= resets
    assert all(len(m) < 353 for m in answers), "an answer is smaller than its question"
    again = g.session_of(device)
    assert again["id"] == s["id"] and again["endpoint"] == s["endpoint"]
    assert visitor.attempts() == 1 and visitor.up() == 1, "the visitor noticed nothing"
    still_works(g)


def tails(rng, knock, hello):
    """The clear part of a control packet, wrong in every way that comes to mind."""
    u32 = lambda: rng.choice((0, 1, 2, 5, 12, 13, 0x7fffffff, 0xffffffff, rng.randrange(1 << 32))).to_bytes(4, "big")
    n = rng.choice((0, 0, 1, 1, 4, 8, 9, 255, rng.randrange(256)))
    sid = rng.choice((knock.server_sid, knock.server_sid, bytes(8), rng.randbytes(8)))
    acks = b"".join(u32() for _ in range(n if rng.random() < 0.8 else rng.randrange(12)))
    payload = rng.choice((b"", hello[:rng.randrange(len(hello))], hello, flipped(rng, hello), rng.randbytes(rng.randrange(1300))))
    tail = bytes([n]) + acks + (sid if n else b"") + u32() + payload
    return tail[:rng.choice((len(tail), len(tail), rng.randrange(len(tail) + 1)))] or b"\0"


@openvpn
def test_wrapped_garbage(attacked, rng, figure):
    """What is wrong inside of a right wrapper: whoever has a profile can send that, in every opcode and state."""
    g = attacked
    profile = g.provision("insider", protocol="openvpn")[2]["profile"]
    knock, hello = ovpn_knock.Knock(profile), ovpn_knock.client_hello()
    rss = None
    for attempt in range(400):
        with g.attacker.socket() as s:
            if not knock.knock(s, (topology.SERVER4, 1194), rng.choice((b"", hello, hello[:100])), 0.3):
                continue  # its budget
            for _ in range(25):
                m = knock.wrap(rng.choice((3, 4, 4, 4, 5, 7, 10, 11, rng.randrange(32))), tails(rng, knock, hello),
                               rng.choice((0, 0, 0, 1, rng.randrange(8))))
                s.sendto(m + rng.choice((b"", b"", knock.wkc, knock.wkc[:-1])), (topology.SERVER4, 1194))
        if attempt == 100:
            rss = {d.name: d.rss_kb() for d in g.daemons}
    for d in g.daemons:
        figure(f"{d.name} grew by", f"{d.rss_kb() - rss[d.name]} kB of {rss[d.name]} kB")
        assert d.alive() and d.rss_kb() - rss[d.name] < GROWTH_KB
        assert d.log.stat().st_size < 32 << 20, "the log was not flooded"
    still_works(g)
