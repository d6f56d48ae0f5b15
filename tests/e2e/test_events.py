"""The event stream: what happens is told within two seconds, to whoever may know it; streams resume, end with
their right, and nobody waits for a slow one."""
import time

import pytest

import kinds
import sse
import topology
from poll import until


@pytest.fixture(scope="module")
def served(module_gateway):
    g = module_gateway()
    g.quiet = g.own(sse.Stream(g.api, "?types=dataplane.lost"))
    g.awake = g.own(sse.Stream(g.api, "?types=session.roamed"))
    return g


@pytest.fixture
def hear(served):
    """hear(api, query, ...): a stream that is closed with the test, as one user has only so many."""
    streams = []

    def listen(*argv, **kw):
        streams.append(sse.Stream(*argv, **kw))
        return streams[-1]

    yield listen
    for s in streams:
        s.close()


def of_device(device):
    return lambda e: e.data.get("session", e.data)["device_id"] == device["id"]


@pytest.mark.parametrize("kind", [kinds.WIREGUARD, kinds.UDP], ids=str)
def test_comes_roams_and_is_thrown_out(served, hear, figure, kind):
    g = served
    user, device, issued = g.provision(f"events-{kind}", protocol=kind.protocol)
    stream = hear(g.api)
    assert stream.status == 200 and stream.headers["Content-Type"] == "text/event-stream"
    hello = stream.wait("hello")
    assert stream.events[0] is hello and hello.id == hello.data["id"] and stream.retry
    begun = time.monotonic()
    tunnel = g.client(issued, **kind.options)
    started = stream.wait("session.started", 2, of_device(device))
    figure("session.started", f"{(started.at - begun) * 1000:.0f} ms after the client was started")
    session = g.session_of(device)
    assert started.data["session"]["id"] == session["id"]
    assert started.data["session"]["user_id"] == user["id"]
    assert started.data["session"]["protocol"] == kind.protocol
    # What moved is told within the second.
    assert tunnel.ping(topology.INTERNET4, count=3)
    moved = stream.wait("traffic", 3, lambda e: any(d[0] == device["id"] for d in e.data["devices"]))
    assert moved.data["totals"]["rx_bytes"] >= 84 and moved.data["rx_bps"] > 0
    # The client moves.
    tunnel.move_port(41000 + tunnel.ns.number)
    assert until(lambda: tunnel.ping(topology.INTERNET4), 5, "it goes on")
    roamed = stream.wait("session.roamed", 3, of_device(device))
    assert roamed.data["session"]["id"] == session["id"]
    assert roamed.data["previous_endpoint"] == started.data["session"]["endpoint"]
    assert roamed.data["session"]["endpoint"] == f"{tunnel.ns.address4}:{41000 + tunnel.ns.number}"
    # And is thrown out.
    g.api.delete(f"/v1/credentials/{issued['id']}")
    ended = stream.wait("session.ended", 1, of_device(device))
    assert ended.data["reason"] == "revoked" and ended.data["session"]["id"] == session["id"]
    assert stream.wait("device.changed", 1, lambda e: e.data["change"] == "credential_revoked" and
                       e.data["device_id"] == device["id"])
    ids = [e.id for e in stream.events]
    assert ids == sorted(set(ids)), "ids rise"
    tunnel.remove()


def test_resumes_where_it_was(served, hear):
    g = served
    user = g.user("resuming")
    stream = hear(g.api, "?types=device.changed")
    stream.wait("hello")
    device = g.device(user, "first")
    seen = stream.wait("device.changed", 3, of_device(device))
    stream.close()
    missed = g.device(user, "second")
    again = hear(g.api, "?types=device.changed", last_id=seen.id)
    assert again.wait("device.changed", 3, of_device(missed)).data["change"] == "created"
    assert not again.of("gap") and again.events[0].name == "hello" and again.events[0].id == seen.id
    assert not [e for e in again.of("device.changed") if e.id <= seen.id]
    # Of what is not ours nothing can be told.
    strange = hear(g.api, last_id=5)
    assert strange.wait("gap").data["after"] == 5


def test_users_are_told_of_their_own(served, hear):
    g = served
    user, device, issued = g.provision("told")
    g.api.patch(f"/v1/users/{user['id']}", {"password": "a passphrase of some length"})
    own = g.anonymous.login(user["name"], "a passphrase of some length")
    stream = hear(own)
    stream.wait("hello")
    other, foreign, theirs = g.provision("untold")
    mine, stranger = g.client(issued), g.client(theirs)
    stream.wait("session.started", 2, of_device(device))
    until(lambda: mine.ping(topology.INTERNET4) and stranger.ping(topology.INTERNET4), 5, "both carry packets")
    stream.wait("traffic", 3, lambda e: e.data["totals"]["devices"])
    g.api.delete(f"/v1/devices/{foreign['id']}")
    g.api.patch(f"/v1/devices/{device['id']}", {"name": "renamed"})
    stream.wait("device.changed", 2, of_device(device))
    assert foreign["id"] not in repr(stream.events) and other["id"] not in repr(stream.events)
    mine.remove()
    stranger.remove()


def by_token(g, role="operator"):
    token = g.api.post("/v1/tokens", {"name": "stream", "role": role})
    return g.anonymous.bearer(token["token"]), lambda: g.api.delete(f"/v1/tokens/{token['id']}")


def by_login(g):
    user = g.api.post("/v1/users", {"name": "watcher", "role": "operator", "password": "a passphrase of length"})
    login = g.anonymous.login("watcher", "a passphrase of length")
    return login, user


def test_ends_with_its_right(served, hear, figure):
    g = served
    operator, revoke = by_token(g)
    login, user = by_login(g)
    other = g.anonymous.login("watcher", "a passphrase of length")
    ways = [("token revoked", operator, revoke),
            ("logged out", login, lambda: login.request("POST", "/v1/logout")),
            ("user disabled", other, lambda: g.api.patch(f"/v1/users/{user['id']}", {"disabled": True}))]
    for name, who, way in ways:
        stream, stays = hear(who), hear(g.api, "?types=traffic")
        stream.wait("hello")
        way()
        done = time.monotonic()
        over = stream.wait_over(2)
        figure(name, f"ended {(over - done) * 1000:.0f} ms later")
        assert over - done < 1 and stream.error is None
        assert not stays.over
        stays.close()


def test_only_so_many_of_one_user(served, hear):
    g = served
    api, _ = by_token(g, "auditor")
    streams = [hear(api) for _ in range(16)]
    refused = next(s for s in streams if s.status != 200)  # two are the module's own
    assert refused.status == 429 and refused.headers["Retry-After"] and b'"status":429' in refused.body
    for s in streams:
        s.close()
    until(lambda: hear(api).status == 200, 3, "room again")


def test_nobody_waits_for_a_slow_reader(served, hear, figure):
    g = served
    user = g.user("crowd")
    for n in range(60):
        g.device(user, f"d{n}")
    slow = hear(g.api, buffer=2048, read=False)
    quick = hear(g.api, "?types=device.changed")
    quick.wait("hello")
    worst, told = 0.0, 0

    def cut():
        return g.ns.run("curl", "-s", "http://127.0.0.1:8080/metrics").count('cut_total{reason="slow"} 1')

    for n in range(60):
        g.api.patch(f"/v1/users/{user['id']}", {"disabled": n % 2 == 0})
        asked, told = time.monotonic(), told + 60
        until(lambda: len(quick.of("device.changed")) >= told, 2, "the quick one is told everything")
        worst = max(worst, time.monotonic() - asked)
        if n > 35 and cut():
            break
    until(cut, 3, "the slow one is cut off")
    figure("slow reader", f"cut off after {told} events, the other was told in {worst * 1000:.0f} ms at most")
    assert len({e.id for e in quick.of("device.changed")}) == told and not quick.over
    slow.read()
    slow.wait_over(5)


def test_the_dataplane_comes_and_goes(served, hear):
    g = served
    _, device, issued = g.provision("survivor")
    tunnel = g.client(issued)
    stream = hear(g.api)
    stream.wait("hello")
    until(lambda: g.session_of(device), 3, "the control plane knows of it")
    g.dataplane.kill()
    stream.wait("dataplane.lost", 2)
    assert stream.wait("session.ended", 3, of_device(device)).data["reason"] == "dataplane_lost"
    g.dataplane.start()
    stream.wait("dataplane.connected", 5)
    tunnel.connect()
    stream.wait("session.started", 2, of_device(device))
    assert g.quiet.of("dataplane.lost") and not g.quiet.of("dataplane.connected")


def test_stays_awake_and_ends_at_once(served, hear, figure):
    """Comes last: a heartbeat is due every 15 s, and the control plane is stopped."""
    g = served
    until(lambda: g.awake.comments, 20, "a heartbeat")
    stream = hear(g.api)
    last = stream.wait("hello").id
    asked = time.monotonic()
    g.controlplane.stop()
    figure("stop with streams", f"{(time.monotonic() - asked) * 1000:.0f} ms")
    assert stream.wait_over(1) - asked < 1 and stream.error is None and g.quiet.wait_over(1)
    g.controlplane.start()
    g.wait_ready()
    after = hear(g.api, last_id=last)
    assert after.wait("gap").data["after"] == last
    assert after.wait("hello").id > last
