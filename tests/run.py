#!/usr/bin/python3
"""Runs all tests and closes with one line: `N passed, N failed`.

Suites: lint, unit (plain and under the sanitizers), fuzz (the corpus and a short run), e2e, web, containers. Every
suite reports its single tests; one that cannot start counts as a failure, none is skipped.
Usage: run.py [lint|unit|fuzz|e2e|web|containers ...]
"""
import base64
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
CORES = os.cpu_count() or 1
UNIT_TIMEOUT_S = 180
SANITIZERS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=99",
}


class Tally:
    def __init__(self):
        self.passed, self.failed = 0, []

    def add(self, name, ok, output=""):
        if ok:
            self.passed += 1
            return
        self.failed.append(name)
        print(f"FAILED {name}")
        for line in output.splitlines()[-60:]:
            print(f"    {line}")
        sys.stdout.flush()


def run(command, **options):
    options.setdefault("timeout", UNIT_TIMEOUT_S)
    try:
        done = subprocess.run(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", **options)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as e:
        return 124, (e.stdout or b"").decode(errors="replace") + "\ntimed out"


def tap(tally, suite, code, output):
    """Counts lines `ok N - name` and `not ok N - name`."""
    results = re.findall(r"^(not ok|ok) \d+ - (.*)$", output, re.M)
    for state, name in results:
        at = output.find(f"{state} ")
        tally.add(f"{suite}: {name}", state == "ok", output if state != "ok" else "")
        del at
    broken = any(state != "ok" for state, _ in results)
    if not results or (code != 0 and not broken):
        tally.add(f"{suite}: exit status {code}, {len(results)} results", False, output)


def make(tally, name, *arguments):
    code, output = run(["make", f"-j{CORES}", *arguments], timeout=900)
    if code:
        tally.add(f"build: {name}", False, output)
    return code == 0


def lint(tally):
    if make(tally, "plain", "all"):
        code, output = run(["/usr/bin/python3", "tests/lint/lint.py"], timeout=600)
        tap(tally, "lint", code, output)


def unit(tally):
    for variant, san in (("plain", ""), ("asan", "address,undefined")):
        if not make(tally, f"unit {variant}", f"SAN={san}", "units"):
            continue
        unit_variant(tally, variant, sorted((TOP / "build" / variant / "tests").rglob("test_*")))
    # Threads: what shares memory runs under the thread sanitizer as well.
    if make(tally, "unit tsan", "SAN=thread", "threaded-units"):
        unit_variant(tally, "tsan", sorted((TOP / "build" / "tsan" / "tests").rglob("test_*")))


def unit_variant(tally, variant, programs):
    programs = [p for p in programs if p.is_file() and os.access(p, os.X_OK)]
    if not programs:
        tally.add(f"unit {variant}: no test program", False)
    env = {**os.environ, **SANITIZERS, "CMOCKA_MESSAGE_OUTPUT": "TAP"}
    with ThreadPoolExecutor(CORES) as pool:
        for program, (code, output) in zip(programs, pool.map(lambda p: run([p], env=env), programs)):
            tap(tally, f"{variant} {program.relative_to(TOP / 'build' / variant / 'tests')}", code, output)


def fuzz(tally):
    """Every fuzz target over its corpus, then a short run from it."""
    if not make(tally, "fuzz targets", "fuzz-targets"):
        return
    targets = sorted((TOP / "build/fuzz").glob("fuzz_*"))
    targets = [t for t in targets if os.access(t, os.X_OK) and t.is_file()]
    if not targets:
        tally.add("fuzz: no target", False)
    def one(target):
        name = target.name.removeprefix("fuzz_")
        work = TOP / "build/fuzz/work" / name
        work.mkdir(parents=True, exist_ok=True)
        seconds = os.environ.get("FUZZ_SECONDS", "10")
        return run([target, f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1",
                    f"-artifact_prefix={work}/", work, TOP / "tests/fuzz/corpus" / name], env={**os.environ, **SANITIZERS})
    with ThreadPoolExecutor(CORES) as pool:
        for target, (code, output) in zip(targets, pool.map(one, targets)):
            runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", output)
            if runs:
                print(f"{target.name}: {int(runs[1]):,} runs")
            tally.add(target.name, code == 0 and runs is not None, finding(target, output))


def finding(target, output):
    """What a fuzzer's failure is about: its report, and the input in base64, to be run again anywhere."""
    lines = output.splitlines()
    began = next((i for i, line in enumerate(lines) if "ERROR" in line or "runtime error" in line), max(0, len(lines) - 30))
    kept = lines[began:began + 45]
    for artifact in re.findall(r"Test unit written to (\S+)", output)[:1]:
        kept.append(f"base64 of the input: {base64.b64encode(Path(artifact).read_bytes()).decode()}")
    return "\n".join(kept)


def e2e(tally):
    if not (make(tally, "plain", "all", "bench-programs") and make(tally, "asan", "SAN=address,undefined", "programs")):
        return
    pytest(tally, "e2e")


def web(tally):
    """The dashboard: its types, its parts by themselves, then all of it in a browser."""
    if not (make(tally, "plain", "all") and make(tally, "browser", "browser")):
        return
    code, output = run(["node", "web/node_modules/typescript/bin/tsc", "--noEmit", "-p", "web"])
    tally.add("web: types", code == 0, output)
    code, output = run(["node", "web/test.mjs"])
    tap(tally, "web", code, output)
    pytest(tally, "web")


def containers(tally):
    """Images and compose file on a real engine: one story, one worker. Builds its own programs, inside; what it takes from
    here is what they say to --help."""
    if make(tally, "plain", "all"):
        pytest(tally, "containers", workers=0)


def pytest(tally, suite, workers=2):
    """Every test of tests/SUITE by its name."""
    report = TOP / f"build/{suite}.xml"
    report.unlink(missing_ok=True)
    command = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(workers), "--dist", "loadfile",
               "-o", "console_output_style=classic", f"--junitxml={report}", f"tests/{suite}"]
    done = subprocess.run(command, cwd=TOP, stdin=subprocess.DEVNULL)
    if not report.exists():
        tally.add(f"{suite}: exit status {done.returncode}, no report", False)
        return
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    for case in cases:
        bad = [c for c in case if c.tag in ("failure", "error", "skipped")]
        tally.add(f"{suite}: {case.get('classname')}.{case.get('name')}", not bad)
        for out in case.iter("system-out"):
            for line in (out.text or "").splitlines():
                if line.startswith("figure:"):
                    print(line)
    if not cases:
        tally.add(f"{suite}: no test ran", False)


SUITES = {"lint": lint, "unit": unit, "fuzz": fuzz, "e2e": e2e, "web": web, "containers": containers}


def main():
    names = sys.argv[1:] or list(SUITES)
    tally = Tally()
    for name in names:
        began = time.monotonic()
        SUITES[name](tally)
        print(f"-- {name}: {time.monotonic() - began:.0f} s", flush=True)
    for name in tally.failed:
        print(f"FAILED {name}")
    print(f"{tally.passed} passed, {len(tally.failed)} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
