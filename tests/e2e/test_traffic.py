"""Traffic history: what it says is what moved, for whoever may know it, and nothing is counted twice whatever
happens to the control plane."""
import datetime

import pytest

import kinds
import topology
from poll import until


@pytest.fixture(scope="module")
def served(module_gateway):
    return module_gateway()


def total(answer):
    return [sum(p[i] for s in answer["series"] for p in s["points"]) for i in (1, 2)]


def of_device(g, device, step=60):
    return total(g.api.get(f"/v1/traffic?device_id={device['id']}&step={step}"))


def counted(g, device):
    status = g.api.get(f"/v1/devices/{device['id']}")["status"]
    return [status["rx_bytes"], status["tx_bytes"]]


def same(g, device, at_least):
    """History and counters agree, once the dataplane has said its last word."""
    return until(lambda: (c := counted(g, device)) == of_device(g, device) and min(c) >= at_least and c, 5,
                 "history is what was counted")


def at(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


@pytest.mark.parametrize("kind", [kinds.WIREGUARD, kinds.UDP], ids=str)
def test_is_what_moved(served, kind):
    g = served
    user, device, issued = g.provision(f"history-{kind}", protocol=kind.protocol)
    tunnel = g.client(issued, **kind.options)
    before = total(g.api.get("/v1/traffic?step=60"))
    for n in range(1, 4):  # the dataplane tells what moved once a second: three of them
        assert tunnel.ping(topology.INTERNET4, count=5)
        moved = same(g, device, n * 5 * 84)
    for step in (3600, 86400):
        assert of_device(g, device, step) == moved
    answer = g.api.get(f"/v1/traffic?device_id={device['id']}")
    assert answer["step"] == 60 and [s["device_id"] for s in answer["series"]] == [device["id"]]
    assert at(answer["to"]) - at(answer["from"]) <= datetime.timedelta(seconds=3720)
    assert all(at(p[0]).second == 0 for p in answer["series"][0]["points"])
    # In seconds as well, but for the first round of statistics.
    seconds = g.api.get(f"/v1/traffic?device_id={device['id']}&step=1")
    assert 0 < total(seconds)[0] <= moved[0] and len(seconds["series"][0]["points"]) >= 2
    # And all devices together.
    every = g.api.get("/v1/traffic?step=60")
    assert [s["device_id"] for s in every["series"]] == [None]
    assert total(every)[0] >= before[0] + 10 * 84
    tunnel.remove()


def test_nothing_twice_nothing_lost(served):
    """Killed before anything was written, stopped in order, killed after that."""
    g = served
    _, device, issued = g.provision("thrice")
    tunnel = g.client(issued)
    assert tunnel.ping(topology.INTERNET4, count=10)
    was = same(g, device, 10 * 84)
    g.restart_controlplane()
    was = same(g, device, was[0])
    assert tunnel.ping(topology.INTERNET4, count=10)
    was = same(g, device, was[0] + 10 * 84)
    g.controlplane.stop()
    g.controlplane.start()
    g.wait_ready()
    was = same(g, device, was[0])
    g.restart_controlplane()
    was = same(g, device, was[0])
    assert tunnel.ping(topology.INTERNET4, count=10)
    was = same(g, device, was[0] + 10 * 84)
    assert was[0] <= tunnel.bytes()["tx_bytes"], "no more than the client has sent"
    tunnel.remove()


def test_everybody_sees_his_own(served):
    g = served
    ann, laptop, issued = g.provision("laptop")
    phone = g.device(ann, "phone")
    _, foreign, _ = g.provision("foreign")
    g.api.patch(f"/v1/users/{ann['id']}", {"password": "a passphrase of some length"})
    own = g.anonymous.login(ann["name"], "a passphrase of some length")
    tunnel = g.client(issued)
    until(lambda: total(own.get("/v1/traffic?step=60"))[0], 5, "something moved")
    for query in ("", f"?user_id={ann['id']}"):
        assert {s["device_id"] for s in own.get("/v1/traffic" + query)["series"]} == {laptop["id"], phone["id"]}
    for query in (f"device_id={foreign['id']}", f"user_id={foreign['user_id']}",
                  f"user_id={ann['id']}&device_id={foreign['id']}"):
        assert own.request("GET", f"/v1/traffic?{query}").status == 404
    assert g.api.get(f"/v1/traffic?user_id={ann['id']}")["series"]
    tunnel.remove()


def test_refuses_by_name(served):
    g = served
    for query, field in (("step=5", "step"), ("from=yesterday", "from"), ("to=2026-02-30T00:00:00Z", "to"),
                         ("device_id=dev_1", "device_id"), ("user_id=dev_1", "user_id"), ("days=3", "days"),
                         ("from=2020-01-01T00:00:00Z&step=60", "step"),
                         ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
                         ("from=2026-01-01T00%3A00%3A00%2B01%3A00&to=2026-01-02T00:00:00Z&step=1", "step")):
        a = g.api.request("GET", f"/v1/traffic?{query}")
        assert a.status == 422 and [e["field"] for e in a.json["errors"]] == [field], (query, a)
