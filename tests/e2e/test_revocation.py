"""Whoever is revoked is out within a second, in both directions, and does not come back."""
import datetime
import math
import time

import pytest

import noise
import topology
from client import Client
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


def is_out(g, tunnel, device):
    """Nobody answers the profile any more, whoever presents it, and the API agrees."""
    assert not noise.Initiator(tunnel.profile).handshake(tunnel.ns, tries=3, wait=0.5)
    assert g.session_of(device) is None
    a = g.api.request("GET", f"/v1/devices/{device['id']}")
    assert a.status == 404 or a.json["status"]["connected"] is False


@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.__name__)
def test_out_within_a_second(served, figure, way):
    g = served
    user, device, issued = g.provision(way.__name__.replace("_", "-"))
    tunnel = g.client(issued)
    stream = g.stream(tunnel).wait_flowing(packets=500)
    asked = time.monotonic()
    way(g, user, device, issued)
    answered = time.monotonic()
    for name, last in zip(("up", "down"), last_delivered(stream, answered)):
        figure(f"{name}: last packet after the answer", f"{(last - answered) * 1000:+.0f} ms")
        assert asked - 0.5 < last < answered + 1, name
    figure("answered in", f"{(answered - asked) * 1000:.0f} ms")
    is_out(g, tunnel, device)
    tunnel.remove()


@pytest.mark.parametrize("what", ["credential", "device"])
def test_expires_by_itself(served, figure, what):
    g = served
    user = g.user(f"expiring-{what}")
    device = g.device(user, f"expiring-{what}")
    if what == "credential":
        end = soon()
        issued = g.credential(device, expires_at=rfc3339(end))
        assert issued["expires_at"][:19] == rfc3339(end)[:19]
        tunnel = g.client(issued)
    else:
        tunnel = g.client(g.credential(device))
        end = soon()
        g.api.patch(f"/v1/devices/{device['id']}", {"expires_at": rfc3339(end)})
    stream = g.stream(tunnel).wait_flowing(packets=500)
    over = end - time.time() + time.monotonic()
    for name, last in zip(("up", "down"), last_delivered(stream, over)):
        figure(f"{name}: last packet after expires_at", f"{(last - over) * 1000:+.0f} ms")
        assert over - 0.5 < last < over + 1, name
    is_out(g, tunnel, device)
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


def test_enabled_again_connects_again(served):
    g = served
    _, device, issued = g.provision("pausing")
    asking, ns = noise.Initiator(issued["profile"]), g.net.client()
    assert asking.handshake(ns)
    g.api.patch(f"/v1/devices/{device['id']}", {"enabled": False})
    assert not asking.handshake(ns, wait=0.5)
    g.api.patch(f"/v1/devices/{device['id']}", {"enabled": True})
    assert asking.handshake(ns)


def test_never_comes_back_over_restarts(gateway):
    """Revoked in every way, asked again after each restart: silence; the one that stayed is served."""
    g = gateway()
    ns = g.net.client()
    staying = noise.Initiator(g.provision("staying")[2]["profile"])
    out = []
    for way in WAYS:
        identity = g.provision(way.__name__.replace("_", "-"))
        out.append((way, identity, noise.Initiator(identity[2]["profile"])))
    user = g.user("expiring")
    device = g.device(user, "expiring")
    end = soon(3)
    identity = (user, device, g.credential(device, expires_at=rfc3339(end)))
    out.append((lambda *a: until(lambda: time.time() > end, 10, "expiry"), identity,
                noise.Initiator(identity[2]["profile"])))
    for _, _, asking in out:
        assert asking.handshake(ns), "works before it is revoked"
    for way, identity, _ in out:
        way(g, *identity)

    def silence(when):
        assert staying.handshake(ns), f"the one that stays is served {when}"
        for _, (_, device, _), asking in out:
            assert not asking.handshake(ns, tries=2, wait=0.4), f"{device['name']} was answered {when}"

    silence("at once")
    g.controlplane.kill()
    g.controlplane.start()
    g.wait_ready()
    silence("after a restart of the control plane")
    g.dataplane.kill()
    g.dataplane.start()
    g.wait_ready()
    silence("after a restart of the dataplane")
    # The stock client tries in vain as well: two initiations, no answer.
    stock = g.own(Client(ns, out[0][1][2]["profile"]))
    stock.start()
    until(lambda: stock.ping(topology.INTERNET4, seconds=1) or stock.initiations() >= 2, 12, "two attempts")
    holds(lambda: stock.responses() == 0 and stock.handshake_at() == 0, 1, "no answer to the stock client")
    assert stock.transfer()[0] == 0
