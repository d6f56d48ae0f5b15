"""The benchmark works: its smallest parts run against the daemons, and what it says is of this world."""
import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

import topology

BENCH = pathlib.Path(__file__).resolve().parents[1] / "bench"
sys.path.append(str(BENCH))
WIREGUARD = "ireko WireGuard"
SATURATED = [WIREGUARD, "ireko OpenVPN CHACHA20", "ireko OpenVPN TCP"]


@pytest.fixture(scope="module", autouse=True)
def programs():
    topology.run("make", "-C", BENCH.parents[1], "bench-programs", timeout=600)


def run(folder, systems, *parts, **env):
    env = {**os.environ, "QUICK": "1", "ROUNDS": "1", "SYSTEMS": ",".join(systems), "OUT": str(folder), **env}
    return subprocess.run([sys.executable, BENCH / "bench.py", *parts], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120)


def bench(folder, systems, *parts):
    """(results, table) of a run; what it ended with is an assertion."""
    done = run(folder, systems, *parts)
    assert done.returncode == 0, done.stdout
    return json.loads((folder / "bench.json").read_text()), (folder / "bench.txt").read_text()


def test_quotients_are_of_the_same_round():
    import report
    ours = [{"tcp 1 up": {"mbit": v}} for v in (10, 30, 80)]
    stock = [{"tcp 1 up": {"mbit": v}} for v in (10, 10, 20)]
    assert report.ratio(*(report.each(r, "tcp 1 up", "mbit") for r in (ours, stock))) == 3
    stock[1] = {"tcp 1 up": None}   # it failed: that round has no quotient, and the others keep theirs
    assert report.ratio(*(report.each(r, "tcp 1 up", "mbit") for r in (ours, stock))) == 2.5
    assert report.spread(report.of(ours, "tcp 1 up", "mbit")) == "30.00 (10.00..80.00)"
    assert report.of(ours, "tcp 8 up", "mbit") == [] and report.spread([]) == "-"
    assert report.each_peer({"1": {"a": 100}, "5": {"a": 150}, "11": {"a": 200}}) == [("a", 10240)]


def test_targets_are_judged():
    import verdicts
    ns = {verdicts.WG: (999, 1001), verdicts.GCM: (600, 601)}
    results = {"saturation": {1420: {name: [{"open": {"cpu_ns": a}, "seal": {"cpu_ns": b}}] for name, (a, b) in ns.items()}}}
    assert [row[3] for row in verdicts.of(results, {}, True)] == ["met", "NOT MET", "met", "NOT MET"]
    del results["saturation"][1420][verdicts.WG]
    assert [row[3] for row in verdicts.of(results, {}, True)] == ["not measured"] * 2 + ["met", "NOT MET"]
    assert len(verdicts.of(results, {}, False)) == 2


def test_forward_and_saturation(tmp_path, figure):
    results, text = bench(tmp_path, [*SATURATED], "forward", "saturation")
    whole = {(f["protocol"], f["bytes"], f["stage"]): f["least"] for f in results["forward"]}
    for direction, stage in (("fwd_rx", "open"), ("fwd_tx", "seal")):
        # The least of each: they are taken one after the other, and nothing makes either faster than it is.
        assert whole["wireguard", 1420, direction] > whole["wireguard", 1420, stage] > 0, "the cipher is a part of the way"
    for name in SATURATED:
        for size in ("1420", "64"):
            round_, = results["saturation"][size][name]
            for direction in ("open", "seal"):
                f = round_[direction]
                figure(f"{name}, {size} bytes, {direction}", f"{f['cpu_ns']:.0f} ns a packet, {f['pps']:.0f} packets/s")
                assert f["lost"] < 0.2, "nearly everything that was sent came out"
                assert 20 < f["cpu_ns"] < 1e6 and f["pps"] * f["cpu_ns"] < 2.2e9, "no more than the CPUs there are"
        assert name in text
    assert "saturated, ireko WireGuard, open, ns a packet" in text, "the verdict on it"
    picture = ElementTree.parse(tmp_path / "bench.svg").getroot()
    assert len(picture.findall("{http://www.w3.org/2000/svg}rect")) > 8, "bars"


def test_one_that_fails_costs_the_others_nothing(tmp_path):
    """A server that does not start is named, the others are measured, and the end says that something is missing."""
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "wireguard-go").write_text("#!/bin/sh\nexit 1\n")
    (broken / "wireguard-go").chmod(0o755)
    done = run(tmp_path, [WIREGUARD, "wireguard-go"], "saturation", PATH=f"{broken}:{os.environ['PATH']}")
    results = json.loads((tmp_path / "bench.json").read_text())
    assert done.returncode == 1 and "NOT MEASURED: saturation, wireguard-go, start" in done.stdout
    assert [(g["part"], g["system"]) for g in results["gaps"]] == [("saturation", "wireguard-go")]
    assert results["saturation"]["1420"][WIREGUARD][0]["open"]["cpu_ns"] > 0


def test_stock_client(tmp_path, figure):
    results, text = bench(tmp_path, [WIREGUARD], "stock")
    round_, = results["stock"][WIREGUARD]
    for test in ("tcp 1 up", "tcp 1 down", "tcp 8 up", "tcp 8 down"):
        f = round_[test]
        figure(test, f"{f['mbit']:.0f} Mbit/s, {f['cpu_s_gib']:.2f} CPU-seconds per GiB")
        assert f["mbit"] > 1 and 0 < f["cpu_s_gib"] < 200
        assert f["busy_s_gib"] > f["cpu_s_gib"] * 0.8, "the server is a part of the machine"
    assert all(round_[f"small {way}"]["pps"] > 100 for way in ("up", "down"))
    assert 0 < round_["ping"]["server_ms"] < round_["ping"]["median_ms"] < 1000
    assert "CPU-seconds per GiB" in text


def test_many_peers(figure):
    import many
    r, steps = {}, []
    def do(what, call, *args):
        steps.append(what)
        return call(*args)
    many.ours(r, do, [1, 20], 8, 3, 20_000)
    figure("handshakes", f"WireGuard {r['wireguard']['cpu_ms']:.2f} ms, OpenVPN {r['openvpn']['cpu_ms']:.2f} ms of CPU each")
    for key in ("wireguard", "wireguard_flood"):
        assert (r[key]["done"], r[key]["failed"]) == (20, 0)
    assert (r["openvpn"]["sessions"], r["openvpn"]["failed"]) == (3, 0)
    assert set(r["memory_kb"]) == {1, 20} and r["synchronise_s"] > 0
    assert {k: len(v) for k, v in r["saturated"].items()} == {
        state: 4 for state in ("idle", "single beside idle", "connected", "single beside connected")}
    assert "handshakes, 800 a second" in steps
