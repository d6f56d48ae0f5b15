"""Fixtures: an engine, and what tests/e2e has of clients and traffic."""
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from fixtures import figure, pytest_runtest_makereport, pytest_sessionstart, pytest_terminal_summary, rng

import pytest

from story import Story


@pytest.fixture(scope="session")
def story():
    s = Story()
    yield s
    s.close()
