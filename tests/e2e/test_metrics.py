"""Metrics: text that Prometheus' own parser takes, figures that agree with the status, for whoever may."""
import math
import os
import pathlib

import pytest
from prometheus_client.parser import text_string_to_metric_families

import topology
from poll import until

HOSTILE = 'x"} 1\nevil{a="\\'


@pytest.fixture(scope="module")
def served(module_gateway):
    return module_gateway(env={"IREKO_METRICS_DEVICES": "1"})


def read(api, **kw):
    """{name: {labels: value}}; every family has help and a type, no sample is there twice."""
    a = api.request("GET", "/metrics", **kw)
    assert a.status == 200 and a.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = a.body.decode()
    assert text.endswith("\n") and "NaN" not in text
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.type != "unknown" and family.name.startswith("ireko_"), family
        assert family.samples or f"# TYPE {family.name}" in text
        for s in family.samples:
            labels = tuple(sorted(s.labels.items()))
            assert labels not in found.setdefault(s.name, {}), s
            assert s.value >= 0 and not math.isinf(s.value)
            found[s.name][labels] = s.value
    assert text.count("# HELP ") == text.count("# TYPE ")
    return found


def one(metrics, name, **labels):
    return metrics[name][tuple(sorted(labels.items()))]


def cpu_seconds(daemon):
    """user and system of all its threads"""
    fields = pathlib.Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_agrees_with_the_status(served):
    g = served
    user, device, issued = g.provision("measured")
    before = read(g.api)
    tunnel = g.client(issued)
    assert tunnel.ping(topology.INTERNET4, count=5)
    after = until(lambda: one(m := read(g.api), "ireko_packets_total", direction="rx") >= 5 and m, 5, "packets")
    assert one(after, "ireko_sessions", protocol="wireguard", transport="udp") == \
        one(before, "ireko_sessions", protocol="wireguard", transport="udp") + 1
    shaken = {"protocol": "wireguard", "result": "session"}
    assert one(after, "ireko_handshakes_total", **shaken) > one(before, "ireko_handshakes_total", **shaken)
    assert one(after, "ireko_bytes_total", direction="tx") > one(before, "ireko_bytes_total", direction="tx")
    status = g.status()
    assert {dict(k)["reason"] for k in after["ireko_drops_total"]} == set(status["dataplane"]["drops"])
    assert one(after, "ireko_database_schema_version") == status["schema_version"] \
        if "schema_version" in status else True
    assert one(after, "ireko_dataplane_connected") == one(after, "ireko_ready") == 1
    assert one(after, "ireko_dataplane_peers") >= 1 and one(after, "ireko_database_bytes", file="database") > 0
    assert one(after, "ireko_build_info", version=status["version"]) == 1
    assert one(after, "ireko_device_bytes_total", device=device["id"], direction="rx") >= 5 * 84
    assert one(after, "ireko_device_connected", device=device["id"]) == 1
    # Of either process what the kernel says of it, the dataplane's without its helper.
    for d, prefix in ((g.dataplane, "ireko_dataplane_process"), (g.controlplane, "ireko_process")):
        before = cpu_seconds(d)
        told = until(lambda: one(m := read(g.api), f"{prefix}_cpu_seconds_total") >= before - 0.02 and m, 3, "its processor time")
        assert one(told, f"{prefix}_cpu_seconds_total") <= cpu_seconds(d) + 0.02
        assert one(told, f"{prefix}_resident_bytes") / 1024 == pytest.approx(d.rss_kb(), rel=0.2)
    for queue in ("http_read", "http_write", "http_login", "mailbox", "door", "revocations"):
        assert one(after, "ireko_queue_depth", queue=queue) < 100
    tunnel.remove()


def test_counts_requests(served):
    g = served
    route = {"route": "/v1/users/{usr}", "method": "GET"}

    def count(status):
        return read(g.api)["ireko_http_requests_total"].get(tuple(sorted({**route, "status": status}.items())), 0)

    good, bad = count("2xx"), count("4xx")
    user = g.user("asked-for")
    for _ in range(3):
        g.api.get(f"/v1/users/{user['id']}")
    g.api.request("GET", "/v1/users/usr_00000000000000000000000000")
    m = read(g.api)
    assert count("2xx") == good + 3 and count("4xx") == bad + 1
    for lane in ("now", "read", "write", "login"):
        buckets = [(float(dict(k)["le"]), v) for k, v in m["ireko_http_request_duration_seconds_bucket"].items()
                   if dict(k)["class"] == lane]
        values = [v for _, v in sorted(buckets)]
        assert values == sorted(values) and values[-1] == \
            m["ireko_http_request_duration_seconds_count"][(("class", lane),)]
    assert m["ireko_http_request_duration_seconds_count"][(("class", "write"),)] >= 1


def test_nothing_that_was_typed_stands_in_it(served):
    g = served
    user = g.user("typed")
    g.api.request("POST", "/v1/devices", {"user_id": user["id"], "name": HOSTILE.replace("\n", " ").strip()})
    g.api.request("GET", "/evil{a=1}")
    g.api.request("GET", "/v1/nothing?x=evil")
    assert b"evil" not in g.api.request("GET", "/metrics").body
    read(g.api)


def test_for_whoever_may(served):
    g = served
    read(g.anonymous)
    assert g.anonymous.request("GET", "/metrics", headers={"X-Forwarded-For": "192.0.2.9"}).status == 401
    assert g.anonymous.request("GET", "/metrics", headers={"Host": "gateway.example"}).status == 401
    for role, status in (("auditor", 200), ("operator", 200), ("user", 403)):
        token = g.api.post("/v1/tokens", {"name": role, "role": role})["token"]
        assert g.anonymous.bearer(token).request("GET", "/metrics").status == status
    assert g.anonymous.bearer("ireko_" + "x" * 43).request("GET", "/metrics").status == 401


def test_without_series_of_devices(gateway):
    """The default; and what is there when there is no dataplane yet."""
    g = gateway()
    g.provision("unseen")
    assert not [name for name in read(g.api) if "device_" in name]
    g.dataplane.kill()
    until(lambda: one(read(g.api), "ireko_dataplane_connected") == 0, 3, "it is gone")
    assert one(read(g.api), "ireko_ready") == 0
    assert not [name for name in read(g.api) if name.startswith("ireko_dataplane_process_")]
    g.dataplane.start()
    g.wait_ready()
