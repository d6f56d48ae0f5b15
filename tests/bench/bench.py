#!/usr/bin/python3
"""Measures the service beside Debian's wireguard-go and openvpn. See README.md.

Usage: bench.py [forward|stock|saturation|many ...]; without names all parts run.
ROUNDS=n, QUICK=1, SYSTEMS=name,name and OUT=folder choose more; results go to build/bench. Ends with 0 when everything was
measured, whatever the figures are.
"""
import collections
import json
import os
import pathlib
import platform
import re
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import gaps
import many
import measure
import picture
import report
import systems
import topology
import verdicts

QUICK = os.environ.get("QUICK", "") not in ("", "0")
ROUNDS = int(os.environ.get("ROUNDS", 1 if QUICK else 5))
OUT = pathlib.Path(os.environ.get("OUT", measure.TOP / "build" / "bench"))
AGAINST = systems.AGAINST

# seconds of a TCP run, seconds of a small one, batches of forward, packets of a saturation, peers, at once, OpenVPN clients
Size = collections.namedtuple("Size", "tcp small batches packets peers at_once openvpn")
SIZE = Size(1, 0.5, 400, 60_000, [1, 200], 64, 30) if QUICK else Size(3, 1.5, 4000, 300_000, [1, 1000, 10_000], 256, 200)


def chosen(names):
    """Of these systems, those that SYSTEMS names."""
    wanted = os.environ.get("SYSTEMS")
    return [n for n in names if wanted is None or n in re.split(r",(?! offloads)", wanted)]


def say(text):
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", flush=True)


def alternating(made):
    """(round, system) in the order A B .. B A and so on: whatever changes slowly meets all alike."""
    for number in range(ROUNDS):
        for system in made if number % 2 == 0 else reversed(made):
            yield number, system


def attempts(part):
    """attempt(system, what, call, *args) of that part."""
    return lambda system, what, call, *args: GAPS.attempt(part, system, what, call, *args)


def forward(results):
    results["forward"] = GAPS.attempt("forward", "ireko", "stages", measure.forward, SIZE.batches)


def one_round(system, attempt):
    """Each test by itself: None where it failed."""
    def test(name, call, *args):
        r[name] = attempt(system.name, name, call, system, *args)
    r = {}
    test("ping", measure.ping)
    for streams in (1, 8):
        for way in ("up", "down"):
            test(f"tcp {streams} {way}", measure.tcp, streams, way == "up", SIZE.tcp, streams == 8)
    for way in ("up", "down"):
        test(f"small {way}", measure.small, way == "up", SIZE.small)
    test("rss_kb", lambda s: [measure.memory_kb([pid]) for pid in s.pids()])
    return r


def stock(results):
    part, attempt = results.setdefault("stock", {}), attempts("stock")
    with systems.Stand() as stand:
        made = systems.with_clients(stand, chosen(systems.NAMES), attempt)
        part.update((s.name, []) for s in made)
        for number, system in alternating(made):
            say(f"round {number + 1} of {ROUNDS}: {system.name}")
            part[system.name].append(one_round(system, attempt))


def saturation(results):
    part, attempt = results.setdefault("saturation", {1420: {}, 64: {}}), attempts("saturation")
    with systems.Stand() as stand:
        made = systems.saturated(stand, chosen(systems.SATURATED), attempt)
        for size, rows in part.items():
            rows.update((s.name, []) for s in made)
            for number, system in alternating(made):
                say(f"round {number + 1} of {ROUNDS}: saturated with {size} bytes: {system.name}")
                rows[system.name].append(attempt(system.name, f"{size} bytes", measure.saturate, system, size, SIZE.packets))


def crowds(results):
    part = results.setdefault("many", {})
    for name, what, call, args in (
            ("ireko", SIZE.peers[-1], many.ours, (SIZE.peers, SIZE.at_once, SIZE.openvpn, min(SIZE.packets, 150_000))),
            ("wireguard-go", SIZE.peers[-1], many.wireguard_go, (SIZE.peers, SIZE.at_once)),
            ("openvpn", SIZE.openvpn, many.openvpn, (SIZE.openvpn,))):
        def step(what, call, *args, name=name):
            say(f"many: {name}: {what}")
            return GAPS.attempt("many", name, what, call, *args)
        part[name] = {}
        GAPS.attempt("many", name, f"all of {what} peers", call, part[name], step, *args)


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
    if results["verdicts"]:
        text.append(verdicts.text(results["verdicts"]))
    if results["gaps"]:
        text.append(report.table("GAPS: what could not be measured", ["part", "system", "what", "why"],
                                 [[g[k] for k in ("part", "system", "what", "why")] for g in results["gaps"]]))
    return "\n".join(text)


def machine():
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return {"model": model, "cpus": os.cpu_count(), "kernel": platform.release()}


def write(results):
    OUT.mkdir(parents=True, exist_ok=True)
    results["gaps"] = GAPS.found
    results["verdicts"] = verdicts.of(results, AGAINST, "SYSTEMS" not in os.environ)
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
    for name in names:
        say(name)
        GAPS.attempt(name, "all", "the whole part", PARTS[name], results)
        results["seconds"] = time.monotonic() - BEGAN
        results["stolen"] = (measure.machine_seconds()[1] - stolen) / results["seconds"] / os.cpu_count()
        text = write(results)  # what is there is there, whatever happens to the next part
    print("\n" + text)
    say(f"written: {', '.join(str(OUT / f'bench.{kind}') for kind in ('txt', 'json', 'svg'))}")
    for gap in GAPS.found:
        print(f"NOT MEASURED: {gap['part']}, {gap['system']}, {gap['what']}")
    return 1 if GAPS.found else 0


GAPS = gaps.Gaps(say)
BEGAN = time.monotonic()
if __name__ == "__main__":
    sys.exit(main())
