"""The dashboard, the alerts and the scrape configuration that come with the service: every expression is one that
Prometheus takes, and names metrics and labels that the service really has; and a Prometheus that runs on these files
finds the service well."""
import json
import os
import pathlib
import pwd
import re
import shutil
import urllib.parse

import pytest
from prometheus_client.parser import text_string_to_metric_families

import daemons
import topology
from poll import until
from rest import Rest

PROMETHEUS = daemons.ROOT / "docker/prometheus"
DASHBOARD = json.loads((daemons.ROOT / "docker/grafana/ireko.json").read_text())
OF_PROMETHEUS = {"instance", "job"}


def expressions():
    """(where, expression) of the dashboard and of the alerts."""
    found = [(p["title"], t["expr"]) for p in DASHBOARD["panels"] for t in p["targets"]]
    alerts = (PROMETHEUS / "alerts.yml").read_text()
    return found + re.findall(r"alert: (\w+)\n +expr: (.*)", alerts)


@pytest.fixture(scope="module")
def used(module_gateway):
    """A service that has been used; as in a container, with a certificate of its own authority."""
    g = module_gateway(env={"IREKO_METRICS_DEVICES": "1"}, https=True)
    g.client(g.provision("laptop")[2])
    return g


@pytest.fixture(scope="module")
def served(used):
    """{name of a series: names of its labels}"""
    g, labels = used, {}
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


@pytest.fixture
def prometheus(used):
    """Its HTTP API, started on docker/prometheus as its container is; the same but for how often it looks."""
    folder, nobody = used.dir / "prometheus", pwd.getpwnam("nobody")
    shutil.copytree(PROMETHEUS, folder)
    configuration = (folder / "prometheus.yml").read_text()
    assert configuration.count("_interval: 15s") == 2
    (folder / "prometheus.yml").write_text(configuration.replace("_interval: 15s", "_interval: 1s"))
    (folder / "token").write_text(used.api.post("/v1/tokens", {"name": "prometheus", "role": "auditor"})["token"])
    (folder / "token").chmod(0o600)
    shutil.copy(used.data_dir / "api-ca.pem", folder)
    (folder / "data").mkdir()
    for path in (folder, *folder.iterdir()):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    used.ns.knows("controlplane", topology.SERVER4)
    used.own(daemons.Daemon(
        "prometheus", used.ns, pathlib.Path("/usr/bin/prometheus"),
        ["setpriv", "--reuid", "nobody", "--regid", str(nobody.pw_gid), "--clear-groups", "--no-new-privs", "prometheus",
         f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
         "--web.listen-address=127.0.0.1:9090"], {"PATH": "/usr/bin:/bin"}, used.dir / "prometheus.log").start())
    api = Rest(used.ns, 9090)

    def ready():
        try:
            return api.request("GET", "/-/ready").status == 200
        except OSError:
            return False
    until(ready, 15, "Prometheus is ready")
    return api


def test_prometheus_finds_the_service_well(prometheus, used):
    def ask(path, **query):
        return prometheus.get(f"/api/v1/{path}?{urllib.parse.urlencode(query)}")["data"]

    def value(expression):
        query = expression.replace("$__rate_interval", "10s").replace("$instance", ".*")
        return [float(r["value"][1]) for r in ask("query", query=query)["result"]]

    def targets():
        return [(t["health"], t["scrapeUrl"], t["lastError"]) for t in ask("targets")["activeTargets"]]
    well = [("up", "https://controlplane:8443/metrics", "")]
    until(lambda: targets() == well, 15, "its target is up")

    def rules():
        return {r["name"]: (r["health"], r["state"] == "firing") for g in ask("rules")["groups"] for r in g["rules"]}
    alerts = dict.fromkeys(re.findall(r"alert: (\w+)", (PROMETHEUS / "alerts.yml").read_text()), ("ok", False))
    assert len(alerts) > 8
    until(lambda: rules() == alerts, 15, "every rule was evaluated, and none calls anybody")

    shown = {(p["title"], t["expr"]) for p in DASHBOARD["panels"] for t in p["targets"]}
    by_title = {title: e for title, e in shown}
    assert value(by_title["Tunnels now"]) == [1] and value(by_title["Ready"]) == [1]
    # Rates need two looks; what was never dropped, held up or cut has none to be shown.
    bare = {"Dropped packets by reason", "OpenVPN control packets"}
    until(lambda: not {title for title, e in shown if not value(e)} - bare, 15, "all that is drawn has a value")
