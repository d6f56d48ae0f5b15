"""The dashboard, the alerts and the scrape configuration that come with the service: every expression is one that
Prometheus takes, and names metrics and labels that the service really has."""
import json
import re
import shutil

import pytest
from prometheus_client.parser import text_string_to_metric_families

import daemons
import topology

PROMETHEUS = daemons.ROOT / "docker/prometheus"
DASHBOARD = json.loads((daemons.ROOT / "docker/grafana/ireko.json").read_text())
OF_PROMETHEUS = {"instance", "job"}


def expressions():
    """(where, expression) of the dashboard and of the alerts."""
    found = [(p["title"], t["expr"]) for p in DASHBOARD["panels"] for t in p["targets"]]
    alerts = (PROMETHEUS / "alerts.yml").read_text()
    return found + re.findall(r"alert: (\w+)\n +expr: (.*)", alerts)


@pytest.fixture(scope="module")
def served(module_gateway):
    """{name of a series: names of its labels}, of a service that has been used."""
    g = module_gateway(env={"IREKO_METRICS_DEVICES": "1"})
    g.client(g.provision("laptop")[2])
    labels = {}
    for family in text_string_to_metric_families(g.api.request("GET", "/metrics").body.decode()):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


@pytest.mark.parametrize("where, expression", expressions(), ids=lambda x: x if " " not in x and "(" not in x else "")
def test_expression_names_what_there_is(served, where, expression):
    names = re.findall(r"\bireko_\w+", expression)
    assert names or expression.startswith("up{"), expression
    known = set(OF_PROMETHEUS)
    for name in names:
        assert name in served, f"{where}: {name} is not served"
        known |= served[name]
    used = set(re.findall(r"(\w+) *=?[=!]~? *\"", expression))
    for group in re.findall(r"\bby *\(([^)]*)\)", expression):
        used |= set(re.findall(r"\w+", group))
    assert used <= known, f"{where}: {used - known}"


def test_dashboard_shows_what_an_operator_needs():
    text = " ".join(e for _, e in expressions())
    for name in ("ireko_sessions", "ireko_bytes_total", "ireko_drops_total", "ireko_handshakes_total",
                 "ireko_http_request_duration_seconds_bucket", "ireko_process_resident_bytes", "ireko_process_cpu_seconds_total",
                 "ireko_dataplane_process_resident_bytes", "ireko_dataplane_process_cpu_seconds_total",
                 "ireko_dataplane_connected", "ireko_ready", "ireko_database_writable"):
        assert name in text
    ids = [p["id"] for p in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids)) and all(p["targets"] and p["title"] for p in DASHBOARD["panels"])
    taken = set()
    for p in DASHBOARD["panels"]:
        at = p["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, f"{p['title']} lies over another panel"
        taken |= cells


def test_prometheus_takes_them(tmp_path):
    for f in PROMETHEUS.glob("*.yml"):
        shutil.copy(f, tmp_path)
    for name in ("token", "api-ca.pem"):
        (tmp_path / name).touch()
    topology.run("promtool", "check", "config", tmp_path / "prometheus.yml")
    topology.run("promtool", "test", "rules", tmp_path / "alerts.test.yml")
    # The dashboard's, with what Grafana would put in: as rules, which promtool reads.
    rules = [{"record": f"x:{i}", "expr": e.replace("$__rate_interval", "1m").replace("$instance", ".*")}
             for i, (_, e) in enumerate(expressions())]
    (tmp_path / "all.yml").write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))
    topology.run("promtool", "check", "rules", tmp_path / "all.yml")
