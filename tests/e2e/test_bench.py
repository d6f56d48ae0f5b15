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
WIREGUARD, OPENVPN = "ireko WireGuard", "ireko OpenVPN AES-256-GCM"


@pytest.fixture(scope="module", autouse=True)
def programs():
    topology.run("make", "-C", BENCH.parents[1], "bench-programs", timeout=600)


def bench(folder, systems, *parts):
    """(results, table) of a run; what it ended with is an assertion."""
    env = {**os.environ, "QUICK": "1", "ROUNDS": "1", "SYSTEMS": ",".join(systems), "OUT": str(folder)}
    done = subprocess.run([sys.executable, BENCH / "bench.py", *parts], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    return json.loads((folder / "bench.json").read_text()), (folder / "bench.txt").read_text()


def test_quotients_are_of_the_same_round():
    import report
    ours = [{"tcp 1 up": {"mbit": v}} for v in (10, 30, 80)]
    stock = [{"tcp 1 up": {"mbit": v}} for v in (10, 10, 20)]
    assert report.ratio(*(report.of(r, "tcp 1 up", "mbit") for r in (ours, stock))) == 3
    assert report.spread(report.of(ours, "tcp 1 up", "mbit")) == "30.00 (10.00..80.00)"
    assert report.of(ours, "tcp 8 up", "mbit") == [] and report.spread([]) == "-"
    assert report.each_peer({"1": {"a": 100}, "5": {"a": 150}, "11": {"a": 200}}) == [("a", 10240)]


def test_forward_and_saturation(tmp_path, figure):
    results, text = bench(tmp_path, [WIREGUARD, OPENVPN], "forward", "saturation")
    whole = {(f["protocol"], f["bytes"], f["stage"]): f["median"] for f in results["forward"]}
    for direction, stage in (("fwd_rx", "open"), ("fwd_tx", "seal")):
        assert whole["wireguard", 1420, direction] > whole["wireguard", 1420, stage] > 0, "the cipher is a part of the way"
    for name in (WIREGUARD, OPENVPN):
        for size in ("1420", "64"):
            round_, = results["saturation"][size][name]
            for direction in ("open", "seal"):
                f = round_[direction]
                figure(f"{name}, {size} bytes, {direction}", f"{f['cpu_ns']:.0f} ns a packet, {f['pps']:.0f} packets/s")
                assert f["lost"] < 0.2, "nearly everything that was sent came out"
                assert 20 < f["cpu_ns"] < 1e6 and f["pps"] * f["cpu_ns"] < 2.2e9, "no more than the CPUs there are"
        assert name in text
    picture = ElementTree.parse(tmp_path / "bench.svg").getroot()
    assert len(picture.findall("{http://www.w3.org/2000/svg}rect")) > 8, "bars"


def test_stock_client(tmp_path, figure):
    results, text = bench(tmp_path, [WIREGUARD], "stock")
    round_, = results["stock"][WIREGUARD]
    for test in ("tcp 1 up", "tcp 1 down", "tcp 8 up", "tcp 8 down"):
        f = round_[test]
        figure(test, f"{f['mbit']:.0f} Mbit/s, {f['cpu_s_gib']:.2f} CPU-seconds per GiB")
        assert f["mbit"] > 1 and 0 < f["cpu_s_gib"] < 200
        assert f["busy_s_gib"] > f["cpu_s_gib"] * 0.8, "the server is a part of the machine"
    assert all(round_[f"small {way}"]["pps"] > 100 for way in ("up", "down"))
    assert 0 < round_["ping"]["median_ms"] < 1000
    assert "CPU-seconds per GiB" in text


def test_many_peers(figure):
    import many
    r = many.ours([1, 20], 8, 3, 20_000)
    figure("handshakes", f"WireGuard {r['wireguard']['cpu_ms']:.2f} ms, OpenVPN {r['openvpn']['cpu_ms']:.2f} ms of CPU each")
    assert (r["wireguard"]["done"], r["wireguard"]["failed"]) == (20, 0)
    assert (r["openvpn"]["sessions"], r["openvpn"]["failed"]) == (3, 0)
    assert set(r["memory_kb"]) == {1, 20} and r["synchronise_s"] > 0
