"""Waiting for conditions, never for seconds."""
import time


class Late(AssertionError):
    """A condition did not come true before its deadline."""


def until(condition, seconds, what, every=0.02):
    """Calls condition until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise Late(f"{what}: not within {seconds} s, last seen {value!r}")
        time.sleep(every)


def holds(condition, seconds, what, every=0.05):
    """Asserts that condition stays true for that long (for things that must not happen)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        assert value, f"{what}: {value!r}"
        time.sleep(every)
