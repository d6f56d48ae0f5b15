"""The API under many: a thousand clients that stay, five hundred logins at once, two thousand who
never finish their request."""
import json
import re
import resource
import selectors
import subprocess
import time
from pathlib import Path

import pytest

import daemons
from poll import until

SCRIPT = Path(__file__).with_name("load.lua")
CLIENTS, READERS, SECONDS = 1000, 900, 60
LOGINS = 500
SLOW = 2000
LOGIN_RSS_MIB = 350


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 16384), most))


def peak_rss_mib(daemon):
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{daemon.pid}/status").read_text()).group(1)) / 1024


class Wrk:
    def __init__(self, gateway, kind, connections, seconds, ids):
        token = gateway.api.auth["Authorization"].split()[1]
        self.process = gateway.ns.popen(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "15s", "-s", str(SCRIPT),
             f"http://127.0.0.1:{gateway.http_port}/", "--", token, kind, ",".join(ids)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def result(self):
        text, _ = self.process.communicate(timeout=SECONDS + 60)
        assert self.process.returncode == 0, text
        return json.loads(text.splitlines()[-1])

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def connections(gateway):
    """TCP connections that the server has, as the kernel counts them."""
    return len(gateway.ns.run("ss", "-Htn", "state", "established", f"sport = :{gateway.http_port}").splitlines())


def test_a_thousand_kept_connections(gateway, figure):
    """90 % of the clients read, the others write, each as fast as it is answered, for a minute."""
    g = gateway()
    user = g.user("load")
    ids = [g.device(user, f"load-{i}")["id"] for i in range(50)]
    reads = g.own(Wrk(g, "reads", READERS, SECONDS, ids))
    writes = g.own(Wrk(g, "writes", CLIENTS - READERS, SECONDS, ids))
    until(lambda: connections(g) >= CLIENTS, 10, "all clients are there")
    for name, r in (("reads", reads.result()), ("writes", writes.result())):
        figure(name, f"{r['requests'] / r['seconds']:.0f}/s, median {r['p50_ms']} ms, p99 {r['p99_ms']} ms, "
                     f"slowest {r['max_ms']} ms")
        assert r["refused"] == r["broken"] == r["late"] == 0, (name, r)
        assert r["requests"] > SECONDS * 10, (name, r)
    figure("control plane at most", f"{peak_rss_mib(g.controlplane):.0f} MiB")
    names = {d["id"]: d["name"] for d in g.api.all("/v1/devices")}
    assert all(names[i].endswith(i[-10:]) for i in ids), "every write went to its own device"


def answers(sockets, seconds):
    """Statuses, in the order of arrival, of one answer from each socket; None for a closed one."""
    waiting, got = selectors.DefaultSelector(), []
    for s in sockets:
        waiting.register(s, selectors.EVENT_READ)
    deadline = time.monotonic() + seconds
    while waiting.get_map() and time.monotonic() < deadline:
        for key, _ in waiting.select(1):
            waiting.unregister(key.fileobj)
            try:
                head = key.fileobj.recv(65536)
            except ConnectionResetError:
                head = b""
            got.append((int(head.split()[1]), head) if head.startswith(b"HTTP/1.1 ") else None)
    assert not waiting.get_map(), f"{len(waiting.get_map())} got no answer"
    return got


def slowest_of_others(gateway, seconds, done=lambda: False):
    """Reads and writes beside it, one after the other: their times in seconds, in order."""
    took, deadline = [], time.monotonic() + seconds
    user = gateway.user(f"beside-{time.monotonic_ns()}")
    while time.monotonic() < deadline and not done():
        start = time.monotonic()
        if len(took) % 10 == 0:
            gateway.api.patch(f"/v1/users/{user['id']}", {"display_name": f"n {len(took)}"})
        else:
            gateway.api.get("/v1/me")
        took.append(time.monotonic() - start)
    return sorted(took)


def test_five_hundred_logins_at_once(gateway, figure):
    """A password check takes 128 MiB on purpose: few at a time, the others wait or are told to come again."""
    g = gateway()
    before = peak_rss_mib(g.controlplane)
    body = json.dumps({"username": "admin", "password": daemons.ADMIN_PASSWORD}).encode()
    ask = (b"POST /v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
           b"Content-Length: %d\r\n\r\n" % len(body)) + body
    sockets = [g.ns.connect("127.0.0.1", g.http_port, 30) for _ in range(LOGINS)]
    try:
        for s in sockets:
            s.sendall(ask)
        took = slowest_of_others(g, 3)
        got = answers(sockets, 30)
    finally:
        for s in sockets:
            s.close()
    assert None not in got, "nobody is cut off without a word"
    statuses = {s: sum(1 for status, _ in got if status == s) for s in {status for status, _ in got}}
    assert set(statuses) <= {200, 429, 503} and statuses.get(200, 0) > 0, statuses
    assert all(b"\r\nRetry-After: " in head for status, head in got if status != 200)
    peak = peak_rss_mib(g.controlplane)
    p99 = took[len(took) * 99 // 100]
    figure("500 logins at once", ", ".join(f"{n} x {s}" for s, n in sorted(statuses.items())))
    figure("control plane at most", f"{peak:.0f} MiB ({before:.0f} before)")
    figure("others meanwhile", f"{len(took)} requests, p99 {p99 * 1000:.0f} ms")
    assert peak < LOGIN_RSS_MIB
    assert p99 < 1
    # The memory of the checks is given back.
    until(lambda: g.controlplane.rss_kb() / 1024 < before + 60, 10, "memory given back")
    g.anonymous.login("admin", daemons.ADMIN_PASSWORD)


def test_two_thousand_slow_heads(gateway, figure):
    """Who sends a header line a second holds a connection, for 15 s, and nothing else."""
    g = gateway()
    quiet = slowest_of_others(g, 2)
    began = time.monotonic()
    sockets = [g.ns.connect("127.0.0.1", g.http_port, 30) for _ in range(SLOW)]
    try:
        for s in sockets:
            s.setblocking(False)
            s.sendall(b"GET /v1/me HTTP/1.1\r\n")
        took, left = [], list(sockets)
        while left and time.monotonic() - began < 60:
            took += slowest_of_others(g, 1)
            left = [s for s in left if drip(s)]
        cut_off = time.monotonic() - began
    finally:
        for s in sockets:
            s.close()
    took.sort()
    p99 = took[len(took) * 99 // 100]
    figure("beside 2,000 slow heads", f"{len(took)} requests, p99 {p99 * 1000:.0f} ms, slowest {took[-1] * 1000:.0f} ms "
                                      f"(alone: {quiet[len(quiet) * 99 // 100] * 1000:.0f} and {quiet[-1] * 1000:.0f} ms)")
    figure("the last of them was cut off after", f"{cut_off:.0f} s")
    assert not left, f"{len(left)} are still connected after {cut_off:.0f} s"
    assert p99 < 0.25 and took[-1] < 2


def drip(s):
    """One more header line. Returns whether the server still listens."""
    try:
        s.send(b"X-Slow: 1\r\n")
        while s.recv(4096):  # what it has to say about it
            pass
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False
