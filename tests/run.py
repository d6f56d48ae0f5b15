#!/usr/bin/python3
"""Runs all tests and closes with one line: `N passed, N failed`.

Suites: lint, unit (plain and under the sanitizers), fuzz (the corpus and a short run), e2e, web, containers. Every suite
reports its single tests; one that cannot start counts as a failure, none is skipped. They run beside each other
(schedule.py), as far as that leaves alone what measures; what each of them wants of the machine stands in wants.py.
Usage: run.py [lint|unit|fuzz|e2e|web|containers ...]
"""
import base64
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

sys.dont_write_bytecode = True

import wants
from schedule import CROWD, FIRST, Job, Schedule

TOP = Path(__file__).resolve().parents[1]
PYTHON = "/usr/bin/python3"
CORES = os.cpu_count() or 1
PROGRAM_TIMEOUT_S, BUILD_TIMEOUT_S, FILE_TIMEOUT_S = 300, 900, 900
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "10"))
NICE = 10  # of what only wants to be done: builds and fuzzers
SLOWEST = 10
SANITIZERS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=99",
}
BEGAN = time.monotonic()


class Tally:
    """What passed and failed, how long it took, and what was measured; jobs come from many threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.passed, self.failed = 0, []
        self.suites = {}   # name: [passed, failed, began, ended]
        self.times = {}    # suite: [(seconds, name)]
        self.figures = {}  # suite: [line]
        self.reports = {}  # suite: [file]

    def add(self, suite, name, ok, output="", seconds=None):
        with self.lock:
            if seconds is not None:
                self.times.setdefault(suite, []).append((seconds, name))
            now = time.monotonic() - BEGAN
            counted = self.suites.setdefault(suite, [0, 0, now, now])
            counted[0 if ok else 1] += 1
            counted[3] = now
            if ok:
                self.passed += 1
                return
            self.failed.append(f"{suite}: {name}")
            say(f"FAILED {suite}: {name}", *(f"    {line}" for line in output.splitlines()[-60:]))

    def suite(self, suite):
        """It begins: now, when it has not already."""
        with self.lock:
            now = time.monotonic() - BEGAN
            self.suites.setdefault(suite, [0, 0, now, now])

    def close(self):
        for suite, files in self.reports.items():
            together = ElementTree.Element("testsuites")
            for file in files:
                together.extend(ElementTree.parse(file).getroot().iter("testsuite"))
            ElementTree.ElementTree(together).write(TOP / f"build/{suite}.xml")
        for suite, lines in self.figures.items():
            say(f"== figures of {suite}", *lines)
        for suite, (passed, failed, began, ended) in self.suites.items():
            say(f"-- {suite}: {passed} passed, {failed} failed, from {clock(began)} to {clock(ended)}; the slowest:")
            say(*(f"   {s:6.1f} s {name}" for s, name in sorted(self.times.get(suite, []), reverse=True)[:SLOWEST]))
        for name in self.failed:
            say(f"FAILED {name}")
        say(f"-- all: {clock(time.monotonic() - BEGAN)}", f"{self.passed} passed, {len(self.failed)} failed")


def say(*lines):
    if lines:
        print("\n".join(lines), flush=True)


def clock(seconds):
    return "%d:%02d" % divmod(round(seconds), 60)


class Ran:
    """A command that has ended: .code .output .seconds .cores (kept busy by it and its children, as a mean)."""

    def __init__(self, command, timeout=PROGRAM_TIMEOUT_S, nice=0, env=None):
        began = time.monotonic()
        self.timed_out, self.over = False, threading.Event()
        with tempfile.TemporaryFile() as out:  # no pipe: who is left behind by it may hold one open for good
            process = subprocess.Popen((["nice", "-n", str(nice)] if nice else []) + [str(c) for c in command], cwd=TOP,
                                       env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            late = threading.Timer(timeout, self._late, [process.pid])
            late.start()
            _, status, used = os.wait4(process.pid, 0)
            self.over.set()
            late.cancel()
            out.seek(0)
            self.output = out.read().decode(errors="replace")
        process.returncode = self.code = 124 if self.timed_out else os.waitstatus_to_exitcode(status)
        if self.timed_out:
            self.output += "\ntimed out"
        self.seconds = time.monotonic() - began
        self.cores = (used.ru_utime + used.ru_stime) / self.seconds

    def _late(self, pid):
        """An interrupt lets pytest put everything away; who does not listen is killed."""
        self.timed_out = True
        os.kill(pid, signal.SIGINT)
        if not self.over.wait(30):
            os.kill(pid, signal.SIGKILL)


def tap(tally, suite, about, ran):
    """Counts lines `ok N - name` and `not ok N - name`."""
    results = re.findall(r"^(not ok|ok) \d+ - (.*)$", ran.output, re.M)
    for state, name in results:
        tally.add(suite, f"{about}{name}", state == "ok", ran.output if state != "ok" else "")
    broken = any(state != "ok" for state, _ in results)
    if not results or (ran.code != 0 and not broken):
        tally.add(suite, f"{about}exit status {ran.code}, {len(results)} results", False, ran.output)
    with tally.lock:
        tally.times.setdefault(suite, []).append((ran.seconds, about.strip(" :") or suite))


class Builds:
    """Everything that make does for the tests: one after the other, for two at once would stand in each other's way."""

    PLAIN = "build plain"  # what everything else takes something from: the programs, and what is made for others to include

    def __init__(self, tally):
        self.tally, self.jobs = tally, {}
        self(self.PLAIN, "all", "bench-programs")

    def __call__(self, name, *arguments, then=None):
        """The name of a job that builds it. then() is called when it is built; its jobs join in."""
        if name not in self.jobs:
            needs = (self.PLAIN,) if self.jobs else ()
            self.jobs[name] = Job(name, lambda: self._build(name, arguments, then), FIRST, 1.0, CROWD, needs, lane="make")
        return name

    def _build(self, name, arguments, then):
        ran = Ran(["make", f"-j{CORES}", *arguments], BUILD_TIMEOUT_S, NICE)
        say(f"{clock(time.monotonic() - BEGAN)} {name}: {ran.seconds:.0f} s")
        if ran.code:
            self.tally.add("build", name.removeprefix("build "), False, ran.output)
            return False
        return then() if then else None


def lint(tally, builds):
    def run():
        tap(tally, "lint", "", Ran([PYTHON, "tests/lint/lint.py"], 600))
    return [Job("lint", run, 20, 1.5, CROWD, (builds.PLAIN,))]


def unit(tally, builds):
    for variant, arguments in (("plain", ("units",)), ("asan", ("SAN=address,undefined", "units")),
                               # Threads: what shares memory runs under the thread sanitizer as well.
                               ("tsan", ("SAN=thread", "threaded-units"))):
        builds(f"build units {variant}", *arguments, then=lambda v=variant: unit_variant(tally, v))
    return []


def unit_variant(tally, variant):
    """A job for every test program of the variant."""
    folder = TOP / "build" / variant / "tests"
    programs = [p for p in sorted(folder.rglob("test_*")) if p.is_file() and os.access(p, os.X_OK)]
    if not programs:
        tally.add("unit", f"{variant}: no test program", False)
    env = {**os.environ, **SANITIZERS, "CMOCKA_MESSAGE_OUTPUT": "TAP"}

    def job(program):
        name = f"{variant} {program.relative_to(folder)}"
        seconds, cores = wants.UNIT.get(program.name, wants.OTHER_UNIT)
        return Job(name, lambda: tap(tally, "unit", f"{name}: ", Ran([program], env=env)), seconds, cores, CROWD)
    return [job(p) for p in programs]


def fuzz(tally, builds):
    """Every fuzz target over its corpus, then a short run from it."""
    builds("build fuzz targets", "fuzz-targets", then=lambda: fuzz_targets(tally))
    return []


def fuzz_targets(tally):
    targets = [t for t in sorted((TOP / "build/fuzz").glob("fuzz_*")) if os.access(t, os.X_OK) and t.is_file()]
    if not targets:
        tally.add("fuzz", "no target", False)

    def one(target):
        name = target.name.removeprefix("fuzz_")
        work = TOP / "build/fuzz/work" / name
        work.mkdir(parents=True, exist_ok=True)
        ran = Ran([target, f"-max_total_time={FUZZ_SECONDS}", "-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1",
                   f"-artifact_prefix={work}/", work, TOP / "tests/fuzz/corpus" / name],
                  FUZZ_SECONDS + PROGRAM_TIMEOUT_S, NICE, {**os.environ, **SANITIZERS})
        runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", ran.output)
        if runs:
            say(f"{target.name}: {int(runs[1]):,} runs")
        tally.add("fuzz", target.name, ran.code == 0 and runs is not None, finding(ran.output), ran.seconds)
    return [Job(t.name, lambda t=t: one(t), FUZZ_SECONDS, 1.0, CROWD) for t in targets]


def finding(output):
    """What a fuzzer's failure is about: its report, and the input in base64, to be run again anywhere."""
    lines = output.splitlines()
    began = next((i for i, line in enumerate(lines) if "ERROR" in line or "runtime error" in line), max(0, len(lines) - 30))
    kept = lines[began:began + 45]
    for artifact in re.findall(r"Test unit written to (\S+)", output)[:1]:
        kept.append(f"base64 of the input: {base64.b64encode(Path(artifact).read_bytes()).decode()}")
    return "\n".join(kept)


def e2e(tally, builds):
    builds("build asan", "SAN=address,undefined", "programs")
    return files(tally, "e2e", wants.E2E, "build asan")


def web(tally, builds):
    """The dashboard: its types, its parts by themselves, then all of it in a browser."""
    needs = (builds.PLAIN, builds("build browser", "browser"))

    def types():
        ran = Ran(["node", "web/node_modules/typescript/bin/tsc", "--noEmit", "-p", "web"])
        tally.add("web", "types", ran.code == 0, ran.output, ran.seconds)
    return [Job("web types", types, 5, 1.0, CROWD, needs),
            Job("web parts", lambda: tap(tally, "web", "parts: ", Ran(["node", "web/test.mjs"])), 5, 1.0, CROWD, needs),
            *files(tally, "web", wants.WEB, needs[-1])]


def containers(tally, builds):
    """Images and compose file on a real engine: one story. The images are built before, where builds belong."""
    build = "build images"

    def images():
        ran = Ran([PYTHON, "tests/containers/prepare.py"], BUILD_TIMEOUT_S)
        say(f"{clock(time.monotonic() - BEGAN)} {build}: {ran.seconds:.0f} s")
        if ran.code:
            tally.add("containers", "images", False, ran.output)
            return False
        return None

    def story():
        there = sorted(p.stem for p in (TOP / "tests/containers").glob("test_*.py"))
        tally.add("containers", f"wants.STORY names every file: {there}", there == sorted(wants.STORY))
        pytest(tally, "containers", wants.STORY)
    return [Job(build, images, *wants.IMAGES, (builds.PLAIN,)), Job("containers", story, *wants.CONTAINERS, (build,))]


def files(tally, suite, table, needs):
    """A job for each file of tests/SUITE; for those that are short, one for several."""
    names = sorted(p.stem for p in (TOP / "tests" / suite).glob("test_*.py"))
    if not names:
        tally.add(suite, "no test", False)
    known = [[n for n in group.split() if n in names] for group in table]
    jobs = [(group, want) for group, want in zip(known, table.values()) if group]
    jobs += [([n], wants.OTHER_FILE) for n in names if not any(n in group for group in known)]
    return [Job(f"{suite} {group[0]}", lambda group=group: pytest(tally, suite, group), *want, (needs,)) for group, want in jobs]


def pytest(tally, suite, names):
    """Every test of those files of tests/SUITE by its name."""
    tally.suite(suite)
    report = TOP / f"build/reports/{suite}-{names[0]}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    ran = Ran([PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
               *(f"tests/{suite}/{n}.py" for n in names)], FILE_TIMEOUT_S)
    said = re.findall(r"^\d+ (?:passed|failed|error).*$", ran.output, re.M) or [f"exit status {ran.code}"]
    say(f"{clock(time.monotonic() - BEGAN)} {suite} {' '.join(names)}: {said[-1]}, {ran.cores:.2f} cores")
    if ran.code:
        say(ran.output)
    if not report.exists():
        tally.add(suite, f"{names[0]}: exit status {ran.code}, no report", False)
        return
    with tally.lock:
        tally.reports.setdefault(suite, []).append(report)
    bad = 0
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        where = f"{case.get('classname')}.{case.get('name')}"
        ok = not any(c.tag in ("failure", "error", "skipped") for c in case)
        bad += not ok
        tally.add(suite, where, ok, seconds=float(case.get("time")))
        with tally.lock:
            tally.figures.setdefault(suite, []).extend(
                f"{where}: {p.get('name')}: {p.get('value')}" for p in case.iter("property"))
    if ran.code and not bad:  # no test at all, an error outside of one, an interrupt
        tally.add(suite, f"{names[0]}: exit status {ran.code}", False)


SUITES = {"lint": lint, "unit": unit, "fuzz": fuzz, "e2e": e2e, "web": web, "containers": containers}


def main():
    names = sys.argv[1:] or list(SUITES)
    tally = Tally()
    builds = Builds(tally)
    # What e2e and web wait for comes first: they take longest.
    jobs = [job for name in sorted(names, key=lambda n: n not in ("e2e", "web")) for job in SUITES[name](tally, builds)]
    schedule = Schedule([*builds.jobs.values(), *jobs], CORES)
    schedule.run()
    for job, error in schedule.broken:
        tally.add("broken", job.name, False, error)
    for job in schedule.dropped:
        tally.add("not run", job.name, False)
    tally.close()
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
