"""Fixtures: those of tests/e2e (daemons, clients, namespaces), and a browser beside them."""
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import pytest

from browser import Browser
from fixtures import *
from fixtures import _session_gateway


@pytest.fixture(scope="module")
def served(module_gateway):
    """A running gateway of this file's own."""
    return module_gateway()


@pytest.fixture(scope="module")
def module_browser(served):
    b = Browser(served)
    yield b
    b.stop()


@pytest.fixture
def browser(module_browser):
    """Its pages are closed after the test, which fails when one of them had anything to complain about."""
    yield module_browser
    module_browser.close_pages()
