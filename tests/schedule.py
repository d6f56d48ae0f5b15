"""Jobs beside each other, as far as the machine goes: most tests wait for a clock or a network and leave their core
to others. Each job says what it wants; the sum of what runs never exceeds what there is.

    first     CROWD (builds, unit programs, fuzzers)   and PLAIN in what they leave
    then      QUIET (what measures times and losses)   and PLAIN in what they leave, no crowd any more
"""
import itertools
import queue
import threading
import traceback
from dataclasses import dataclass
from typing import Callable

CROWD, PLAIN, QUIET = range(3)
# For each core, by what runs: the sum of what jobs want, and how many there are at once however little they want. In a
# crowd the builds and fuzzers are nice to the others.
ROOM = {CROWD: (1.25, 4), PLAIN: (1.0, 2), QUIET: (1.0, 1.5)}
FIRST = 10_000  # seconds of what others wait for: it goes before everything


@dataclass(eq=False)
class Job:
    """run() does it. Returns: None, False (what needs it is dropped), or a list of further jobs. seconds: about as long
    as it takes; the longest goes first. cores: of what it keeps busy, as a mean. needs: names of jobs before it. lane: no
    two of the same one at once."""
    name: str
    run: Callable
    seconds: float = 30
    cores: float = 1.0
    kind: int = PLAIN
    needs: tuple = ()
    lane: str = ""


class Schedule:
    def __init__(self, jobs, cores):
        self.cores = cores
        self.waiting = list(jobs)
        self.running = []
        self.done, self.dropped, self.broken = set(), [], []
        self.ended = queue.SimpleQueue()

    def fits(self, job):
        """Whether there is room for it beside what runs."""
        if not self.running:
            return True
        if job.lane and any(r.lane == job.lane for r in self.running):
            return False
        together = [job, *self.running]
        kinds = {j.kind for j in together}
        room, lanes = ROOM[next(k for k in (QUIET, CROWD, PLAIN) if k in kinds)]
        return len(together) <= lanes * self.cores and sum(j.cores for j in together) <= room * self.cores + 1e-6

    def next(self):
        """The job that begins now, or None. A quiet one waits until there is no crowd left, not even one that waits."""
        crowd = any(j.kind == CROWD for j in itertools.chain(self.waiting, self.running))
        ready = [j for j in self.waiting if self.done.issuperset(j.needs) and not (crowd and j.kind == QUIET)]
        # What is alone in its time goes before what may run beside everything; what is long and wants much, first.
        ready.sort(key=lambda j: (j.kind == PLAIN, -j.seconds * (1 + j.cores)))
        return next((j for j in ready if self.fits(j)), None)

    def start(self, job):
        def work():
            try:
                result = job.run()
            except Exception:  # a fault of the tests' own, which must not end the others
                self.broken.append((job, traceback.format_exc()))
                result = False
            self.ended.put((job, result))
        self.waiting.remove(job)
        self.running.append(job)
        threading.Thread(target=work, daemon=True).start()

    def drop(self, names):
        """What needs one of those will never run, and what needs that."""
        while gone := [j for j in self.waiting if names.intersection(j.needs)]:
            self.waiting = [j for j in self.waiting if j not in gone]
            self.dropped += gone
            names = {j.name for j in gone}

    def run(self):
        """Until nothing is left. Then .dropped has the jobs that never ran because what they need failed, .broken has
        (job, traceback) of those that ended with an exception."""
        while self.waiting or self.running:
            while job := self.next():
                self.start(job)
            if not self.running:
                raise RuntimeError(f"nobody does what these need: {[j.name for j in self.waiting]}")
            job, result = self.ended.get()
            self.running.remove(job)
            if result is False:
                self.drop({job.name})
            else:
                self.done.add(job.name)
                self.waiting += result or []
