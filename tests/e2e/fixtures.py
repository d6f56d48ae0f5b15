"""Fixtures. `gateway` makes a running pair with everything around it; the session-wide ones are
for tests that only need something that runs."""
import os
import random
import sys

sys.dont_write_bytecode = True

import pytest

import daemons
import kinds
import topology
import traffic
from client import Client
from ovpn_client import OpenVpn


class Gateway(daemons.Pair):
    """A pair, the machines around it, and everything that must be ended afterwards."""

    def __init__(self, **options):
        self.owned = []
        self.services = {}
        net = topology.Net()
        try:
            super().__init__(net, **options)
        except BaseException:
            net.remove()
            raise

    def own(self, thing):
        """Will be removed (or stopped, or killed) before the namespaces are."""
        self.owned.append(thing)
        return thing

    def stock(self, credential, ns=None, nice=0, **kw):
        """A stock client for that credential's protocol and with its profile, not started. kw: of OpenVpn."""
        kind = {"wireguard": Client, "openvpn": OpenVpn}[credential["protocol"]]
        return self.own(kind(ns or self.net.client(), credential["profile"], nice=nice, **kw))

    def client(self, credential, ns=None, nice=0, **kw):
        """The same, connected."""
        return self.stock(credential, ns, nice, **kw).start().connect()

    def connected(self, name, kind=kinds.WIREGUARD, ns=None, nice=0, **kw):
        """A fresh user's fresh device, connected by that kind: (device, client)."""
        _, device, issued = self.provision(name, protocol=kind.protocol)
        return device, self.client(issued, ns, nice, **kind.options, **kw)

    def stream(self, client, **kw):
        return self.own(traffic.Stream(client.ns, self.net.internet, **kw))

    def close(self, orderly=True):
        errors = []
        for thing in reversed(self.owned):
            try:
                for name in ("kill", "remove", "stop"):
                    if hasattr(thing, name):
                        getattr(thing, name)()
                        break
            except Exception as error:  # the rest has to go as well
                errors.append(repr(error))
        try:
            if orderly and self.api is not None:
                self.stop()
        finally:
            self.remove()
            self.net.remove()
        assert not errors, errors


def gateways():
    made = []

    def make(**options):
        g = Gateway(**options)
        made.append(g)
        return g.start()

    yield make
    errors = []
    for g in reversed(made):
        try:
            g.close()
        except AssertionError as error:
            errors.append(str(error))
    assert not errors, "\n".join(errors)


gateway = pytest.fixture(gateways)
module_gateway = pytest.fixture(gateways, scope="module")


@pytest.fixture(scope="session")
def _session_gateway():
    yield from gateways()


@pytest.fixture(scope="session")
def api_server(_session_gateway):
    """A running pair for tests of the API: .http_port .admin_password .ns .request(method, path, ...)"""
    return _session_gateway()


@pytest.fixture(scope="session")
def wg_tunnel(_session_gateway):
    """A pair with one connected client: .user .device .credential .tunnel"""
    g = _session_gateway()
    g.user_, g.device_, g.credential_ = g.provision("tunnel")
    g.tunnel = g.client(g.credential_)
    return g


@pytest.fixture
def rng():
    """Random numbers that can be had again: SEED=n."""
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def figure(request):
    """figure(name, text): a measured value that the summary prints."""
    def note(name, value):
        print(f"{name}: {value}")
        request.node.user_properties.append((name, str(value)))
    return note


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for title, text in daemons.logs():
            report.sections.append((title, text))


def pytest_sessionstart(session):
    if not hasattr(session.config, "workerinput"):
        topology.sweep()


def pytest_terminal_summary(terminalreporter):
    lines = [(r.nodeid.split("/")[-1], name, value)
             for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])
             if r.when == "call" for name, value in r.user_properties]
    if lines:
        terminalreporter.section("figures")
        for node, name, value in lines:
            terminalreporter.write_line(f"{node}: {name}: {value}")


LONGEST_FIRST = ["test_rekey", "test_crash_writes", "test_memory"]


def pytest_collection_modifyitems(items):
    """The long ones first, so that two workers end at about the same time."""
    rank = {name: i for i, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.module.__name__, len(rank)))


@pytest.fixture
def one_cpu():
    """For us and whoever is started: a sender that moves to another CPU overtakes itself in the queues between two
    namespaces, and nobody could tell that from an error of ours."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)
