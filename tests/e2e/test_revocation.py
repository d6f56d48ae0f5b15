"""Whoever is revoked is out within a second, in both directions, and does not come back."""
import datetime
import math
import time

import pytest

import kinds
import noise
import topology
from poll import holds, until


def rfc3339(unix):
    return datetime.datetime.fromtimestamp(unix, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def soon(seconds=4):
    """A full second in the near future."""
    return math.ceil(time.time()) + seconds


def revoke_credential(g, user, device, credential):
    g.api.delete(f"/v1/credentials/{credential['id']}")


def disable_device(g, user, device, credential):
    g.api.patch(f"/v1/devices/{device['id']}", {"enabled": False})


def delete_device(g, user, device, credential):
    g.api.delete(f"/v1/devices/{device['id']}")


def disable_user(g, user, device, credential):
    g.api.patch(f"/v1/users/{user['id']}", {"disabled": True})


def delete_user(g, user, device, credential):
    g.api.delete(f"/v1/users/{user['id']}")


KINDS = [kinds.WIREGUARD, kinds.UDP]
WAYS = [revoke_credential, disable_device, delete_device, disable_user, delete_user]


@pytest.fixture(scope="module")
def served(module_gateway):
    return module_gateway()


def last_delivered(stream, over):
    """Ends a stream some time after `over`; when the last packet came in: (up, down)."""
    until(lambda: time.monotonic() > over + 2.5, 30, "time for late packets")
    up, down = stream.stop()
    assert up.sent - up.received > 1000 and down.sent - down.received > 1000, "both ends went on sending"
    return up.times[-1], down.times[-1]


def all_refused(g, credentials, ns, seconds=20):
    """Asks for each credential from there: nobody is let in."""
    for c in credentials:
        if c["protocol"] == "wireguard":
            assert not noise.Initiator(c["profile"]).handshake(ns, tries=3, wait=0.4), c["id"]
    asking = [g.stock(c, ns).start() for c in credentials if c["protocol"] == "openvpn"]
    for stock in asking:
        stock.wait_refused(seconds)
        stock.remove()


def let_in(g, credential, ns):
    """Asks once, and goes again: True when it was let in."""
    if credential["protocol"] == "wireguard":
        return noise.Initiator(credential["profile"]).handshake(ns, wait=0.5)
    with_it = g.stock(credential, ns).start()
    until(lambda: with_it.up() or with_it.refusal() is not None or not with_it.alive(), 20, "an answer")
    was = with_it.up() > 0
    with_it.remove()
    return was


def is_out(g, credential, ns, device):
    """Nobody answers the profile any more, whoever presents it, and the API agrees."""
    all_refused(g, [credential], ns)
    assert g.session_of(device) is None
    a = g.api.request("GET", f"/v1/devices/{device['id']}")
    assert a.status == 404 or a.json["status"]["connected"] is False


@pytest.mark.parametrize("way,kind", [(w, k) for k in KINDS for w in WAYS] + [(revoke_credential, kinds.TCP)],
                         ids=lambda v: str(v) if isinstance(v, kinds.Kind) else v.__name__)
def test_out_within_a_second(served, figure, way, kind):
    g = served
    user, device, issued = g.provision(f"{way.__name__}-{kind}".replace("_", "-"), protocol=kind.protocol)
    tunnel = g.client(issued, **kind.options)
    stream = g.stream(tunnel).wait_flowing(packets=500)
    asked = time.monotonic()
    way(g, user, device, issued)
    answered = time.monotonic()
    for name, last in zip(("up", "down"), last_delivered(stream, answered)):
        figure(f"{name}: last packet after the answer", f"{(last - answered) * 1000:+.0f} ms")
        assert asked - 0.5 < last < answered + 1, name
    figure("answered in", f"{(answered - asked) * 1000:.0f} ms")
    is_out(g, issued, tunnel.ns, device)
    tunnel.remove()


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("what", ["credential", "device"])
def test_expires_by_itself(served, figure, what, kind):
    g = served
    user = g.user(f"expiring-{what}-{kind}")
    device = g.device(user, f"expiring-{what}")
    if what == "credential":
        end = soon()
        issued = g.credential(device, kind.protocol, expires_at=rfc3339(end))
        assert issued["expires_at"][:19] == rfc3339(end)[:19]
        tunnel = g.client(issued)
    else:
        issued = g.credential(device, kind.protocol)
        tunnel = g.client(issued)
        end = soon()
        g.api.patch(f"/v1/devices/{device['id']}", {"expires_at": rfc3339(end)})
    stream = g.stream(tunnel).wait_flowing(packets=500)
    over = end - time.time() + time.monotonic()
    for name, last in zip(("up", "down"), last_delivered(stream, over)):
        figure(f"{name}: last packet after expires_at", f"{(last - over) * 1000:+.0f} ms")
        assert over - 0.5 < last < over + 1, name
    is_out(g, issued, tunnel.ns, device)
    tunnel.remove()


def test_disconnected_client_may_come_back(served):
    """DELETE of a session ends it; nothing was revoked, so the client connects again by itself."""
    g = served
    _, device, issued = g.provision("kicked")
    tunnel = g.client(issued)
    s = until(lambda: g.session_of(device), 3, "session")
    g.api.delete(f"/v1/sessions/{s['id']}")
    assert not tunnel.ping(topology.INTERNET4, seconds=1)
    tunnel.stop()
    again = g.client(issued, ns=tunnel.ns)
    fresh = until(lambda: g.session_of(device), 3, "new session")
    assert fresh["id"] != s["id"]
    again.remove()


@pytest.mark.parametrize("kind", kinds.OPENVPN, ids=str)
def test_disconnected_openvpn_comes_back(served, kind):
    """The same; this client is told, and comes back without anybody's help."""
    g = served
    device, tunnel = g.connected(f"kicked-{kind}", kind)
    s = until(lambda: g.session_of(device), 3, "session")
    g.api.delete(f"/v1/sessions/{s['id']}")
    fresh = until(lambda: (now := g.session_of(device)) and now["id"] != s["id"] and now, 15, "a new session")
    assert fresh["protocol"] == "openvpn"
    tunnel.wait_up(times=2).connect()
    assert tunnel.alive() and tunnel.refusal() is None
    tunnel.remove()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_enabled_again_connects_again(served, kind):
    g = served
    _, device, issued = g.provision(f"pausing-{kind}", protocol=kind.protocol)
    ns = g.net.client()
    assert let_in(g, issued, ns)
    g.api.patch(f"/v1/devices/{device['id']}", {"enabled": False})
    assert not let_in(g, issued, ns)
    g.api.patch(f"/v1/devices/{device['id']}", {"enabled": True})
    assert let_in(g, issued, ns)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_never_comes_back_over_restarts(gateway, kind):
    """Revoked in every way, asked again after each restart: refused; the one that stayed is served."""
    g = gateway()
    ns = g.net.client()
    staying = g.provision("staying", protocol=kind.protocol)[2]
    out = [(way, g.provision(way.__name__.replace("_", "-"), protocol=kind.protocol)) for way in WAYS]
    user = g.user("expiring")
    device = g.device(user, "expiring")
    end = soon(6)
    identity = (user, device, g.credential(device, kind.protocol, expires_at=rfc3339(end)))
    out.append((lambda *a: until(lambda: time.time() > end, 10, "expiry"), identity))
    for _, (_, _, issued) in out:
        assert let_in(g, issued, ns), "works before it is revoked"
    for way, identity in out:
        way(g, *identity)

    def refused(when):
        assert let_in(g, staying, ns), f"the one that stays is served {when}"
        all_refused(g, [issued for _, (_, _, issued) in out], ns)

    refused("at once")
    g.restart_controlplane()
    refused("after a restart of the control plane")
    g.dataplane.kill()
    g.dataplane.start()
    g.wait_ready()
    refused("after a restart of the dataplane")
    if kind == kinds.WIREGUARD:
        stock_asks_in_vain(g, ns, out[0][1][2])


def stock_asks_in_vain(g, ns, credential):
    """Two initiations, no answer."""
    stock = g.stock(credential, ns).start()
    until(lambda: stock.ping(topology.INTERNET4, seconds=1) or stock.initiations() >= 2, 12, "two attempts")
    holds(lambda: stock.responses() == 0 and stock.handshake_at() == 0, 1, "no answer to the stock client")
    assert stock.transfer()[0] == 0
