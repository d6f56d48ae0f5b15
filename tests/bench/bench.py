#!/usr/bin/python3
"""Measures the service beside Debian's wireguard-go and openvpn. See README.md.

Usage: bench.py [forward|stock|saturation|many ...]; without names all parts run.
ROUNDS=n, QUICK=1, SYSTEMS=name,name and OUT=folder choose more; results go to build/bench.
"""
import collections
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import many
import measure
import picture
import report
import systems
import topology

QUICK = os.environ.get("QUICK", "") not in ("", "0")
ROUNDS = int(os.environ.get("ROUNDS", 1 if QUICK else 5))
OUT = pathlib.Path(os.environ.get("OUT", measure.TOP / "build" / "bench"))
AGAINST = {row[0]: row[3] for row in systems.OURS}

# seconds of a TCP run, seconds of a small one, batches of forward, packets of a saturation, peers, at once, OpenVPN clients
Size = collections.namedtuple("Size", "tcp small batches packets peers at_once openvpn")
SIZE = Size(1, 0.5, 400, 60_000, [1, 200], 64, 30) if QUICK else Size(3, 1.5, 4000, 300_000, [1, 1000, 10_000], 256, 200)


def chosen(names):
    """Of these systems, those that SYSTEMS names."""
    wanted = os.environ.get("SYSTEMS")
    return [n for n in names if wanted is None or n in wanted.split(",")]


def say(text):
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", flush=True)


def alternating(made):
    """(round, system) in the order A B .. B A and so on: whatever changes slowly meets all alike."""
    for number in range(ROUNDS):
        for system in made if number % 2 == 0 else reversed(made):
            yield number, system


def forward(results):
    results["forward"] = measure.forward(SIZE.batches)


def one_round(system):
    r = {"ping": measure.ping(system)}
    for streams in (1, 8):
        for way in ("up", "down"):
            r[f"tcp {streams} {way}"] = measure.tcp(system, streams, way == "up", SIZE.tcp, loaded_ping=streams == 8)
    for way in ("up", "down"):
        r[f"small {way}"] = measure.small(system, way == "up", SIZE.small)
    r["rss_kb"] = [measure.memory_kb([pid]) for pid in system.pids()]
    return r


def stock(results):
    part = results["stock"] = {}
    with systems.Stand() as stand:
        made = systems.with_clients(stand, chosen(systems.NAMES))
        part.update((s.name, []) for s in made)
        for number, system in alternating(made):
            say(f"round {number + 1} of {ROUNDS}: {system.name}")
            part[system.name].append(one_round(system))


def saturation(results):
    part = results["saturation"] = {1420: {}, 64: {}}
    with systems.Stand() as stand:
        made = systems.saturated(stand, chosen(systems.SATURATED))
        for size, rows in part.items():
            rows.update((s.name, []) for s in made)
            for number, system in alternating(made):
                say(f"round {number + 1} of {ROUNDS}: saturated with {size} bytes: {system.name}")
                rows[system.name].append(measure.saturate(system, size, SIZE.packets))


def crowds(results):
    part = results["many"] = {}
    say(f"{SIZE.peers[-1]} peers: ireko")
    part["ireko"] = many.ours(SIZE.peers, SIZE.at_once, SIZE.openvpn, min(SIZE.packets, 60_000))
    say(f"{SIZE.peers[-1]} peers: wireguard-go")
    part["wireguard-go"] = many.wireguard_go(SIZE.peers, SIZE.at_once)
    say(f"{SIZE.openvpn} clients: openvpn")
    part["openvpn"] = many.openvpn(SIZE.openvpn)


PARTS = {"forward": forward, "stock": stock, "saturation": saturation, "many": crowds}


def disturbed(results):
    """Why these figures may be worth less than they look."""
    found = []
    if results["load_before"] > 0.3:
        found.append(f"NOT ALONE: load average {results['load_before']:.2f} before the run")
    if results["stolen"] > 0.01:
        found.append(f"DISTURBED: the hypervisor took {results['stolen'] * 100:.1f} % of the time")
    return found


def text_of(results):
    """Whatever parts there are."""
    m = results["machine"]
    text = [f"{m['model']}, {m['cpus']} CPUs, kernel {m['kernel']}; {results['rounds']} rounds"
            f"{', QUICK' if results['quick'] else ''}; medians (least..greatest), x: quotient by the stock system"]
    text += disturbed(results) + [""]
    if results.get("stock"):
        text.append(report.stock(results["stock"], AGAINST))
    if results.get("saturation"):
        text.append(report.saturation(results["saturation"], results.get("forward"), AGAINST))
    if results.get("many"):
        text.append(report.many(results["many"]))
    if results.get("forward"):
        text.append(report.forward(results["forward"]))
    return "\n".join(text)


def machine():
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return {"model": model, "cpus": os.cpu_count(), "kernel": platform.release()}


def write(results):
    OUT.mkdir(parents=True, exist_ok=True)
    text = text_of(results)
    (OUT / "bench.json").write_text(json.dumps(results, indent=1))
    (OUT / "bench.txt").write_text(text)
    drawn = picture.draw(results, AGAINST, f"{results['machine']['model']}, {results['machine']['cpus']} CPUs, "
                                           f"{results['rounds']} rounds")
    if drawn:
        (OUT / "bench.svg").write_text(drawn)
    return text


def main():
    names = sys.argv[1:] or list(PARTS)
    unknown = [n for n in names if n not in PARTS]
    if unknown:
        print(f"{unknown[0]} is no part: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    topology.sweep()
    results = {"machine": machine(), "rounds": ROUNDS, "quick": QUICK, "load_before": os.getloadavg()[0]}
    stolen = measure.machine_seconds()[1]
    failed = []
    for name in names:
        say(name)
        try:
            PARTS[name](results)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:  # the other parts are worth having
            failed.append(name)
            say(f"{name} FAILED: {error}")
        results["seconds"] = time.monotonic() - BEGAN
        results["stolen"] = (measure.machine_seconds()[1] - stolen) / results["seconds"] / os.cpu_count()
        write(results)  # what is there is there, whatever happens to the next part
    print("\n" + write(results))
    say(f"written: {', '.join(str(OUT / f'bench.{kind}') for kind in ('txt', 'json', 'svg'))}")
    for name in failed:
        print(f"FAILED: {name} (why stands where it happened)")
    return 1 if failed else 0


BEGAN = time.monotonic()
if __name__ == "__main__":
    sys.exit(main())
