"""A real Docker engine: the one that answers here, or else one that ../shared/docker-here.sh (beside the checkout)
brings and takes away again. What Docker says is taken as it is; nothing here knows how our images are made."""
import json
import os
import pathlib
import re
import subprocess
import time

import topology

ROOT = pathlib.Path(__file__).resolve().parents[2]
BROUGHT = ROOT / "build/engine-brought"  # there is one that prepare.py has left for the tests to take away
BASE = "debian:bookworm-slim"  # what containers that only hold a network are made of, too


def clone(where, *how):
    """What a clone over the network would bring: the commit, not the working tree."""
    topology.run("git", "clone", "-q", *how, "--depth", "1", f"file://{ROOT}", where)


def registry():
    """Where this machine has its npm packages from, when that is not npm's own registry."""
    return topology.run("npm", "config", "get", "registry").strip()


def bring_script():
    for above in ROOT.parents:
        script = above / "shared/docker-here.sh"
        if script.exists():
            return script
    raise AssertionError("no Docker engine answers (`docker info`), and ../shared/docker-here.sh is not there")


class Engine:
    """Use as a context manager. .env is what a command line needs to reach it."""

    def __init__(self):
        self.env = dict(os.environ)
        self.script = None
        began = time.monotonic()
        if subprocess.run(["sh", "-c", "docker info && docker compose version"], capture_output=True).returncode:
            script = bring_script()
            # One that somebody left running there stays, but for prepare.py's; and that may have ended meanwhile.
            if BROUGHT.exists() or subprocess.run(["bash", script, "status"], capture_output=True).returncode:
                self.script = script
                topology.run("bash", script, "up", timeout=400)
            lines = topology.run("bash", script, "env")
            shell = topology.run("bash", "-c", f"{lines}\nenv -0")
            self.env.update(line.split("=", 1) for line in shell.split("\0") if "=" in line)
        self.seconds = time.monotonic() - began

    def leave(self):
        """Whoever comes next takes it away."""
        if self.script:
            BROUGHT.parent.mkdir(exist_ok=True)
            BROUGHT.touch()

    def close(self):
        if self.script:
            BROUGHT.unlink(missing_ok=True)
            topology.run("bash", self.script, "down", "--keep-cache", timeout=120)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def run(self, *argv, check=True, seconds=120, env=(), cwd=None):
        """A command: its output, both streams of it. check=False: (exit status, output)."""
        done = subprocess.run([str(a) for a in argv], env={**self.env, **dict(env)}, cwd=cwd, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=seconds)
        if not check:
            return done.returncode, done.stdout
        assert done.returncode == 0, f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout[-6000:]}"
        return done.stdout

    def docker(self, *argv, **kw):
        return self.run("docker", *argv, **kw)

    def inspect(self, name, kind="container"):
        return json.loads(self.docker(kind, "inspect", name))[0]

    def pid(self, name):
        """Of a container's first process, as this machine counts. 0: it does not run."""
        return self.inspect(name)["State"]["Pid"]

    def health(self, name):
        state = self.inspect(name)["State"]
        return state["Health"]["Status"] if state["Running"] else "not running"

    def last_check(self, name):
        """What the last health check said."""
        return (self.inspect(name)["State"]["Health"]["Log"] or [{"Output": ""}])[-1]["Output"]

    def volume(self, name):
        return pathlib.Path(self.inspect(name, "volume")["Mountpoint"])


class Place(topology.Namespace):
    """The network of a container (or of the engine itself), for tools of this machine to run in."""

    def __init__(self, engine, name, network):
        self.engine, self.container, self.name = engine, name, name
        self.path = f"/run/netns/{name}"
        engine.docker("run", "--detach", "--name", name, "--network", network, "--init", BASE, "sleep", "infinity")
        topology.run("ip", "netns", "attach", name, engine.pid(name))

    def remove(self):
        topology.run("ip", "netns", "delete", self.name)
        self.engine.docker("rm", "--force", self.container)
        self.forget()


class Outside:
    """The world around the engine's machine; the drawing of topology.py, with containers in it.

        client 0 --+-- outer0 (bridge) [engine: published ports, NAT] inner0 -- internet
        client 1 --'
    """

    def __init__(self, engine):
        self.engine, self.places = engine, []
        self.prefix = f"ikc{os.getpid()}"
        try:
            self.host = self._place("host", "host")
            self._build()
        except BaseException:
            self.remove()
            raise

    def _place(self, role, network):
        place = Place(self.engine, f"{self.prefix}{role}", network)
        self.places.append(place)
        return place

    def _build(self):
        h = self.host
        for old in ("outer0", "inner0"):
            assert old not in h.ip("link"), f"the engine's machine has a device {old}"
        h.ip("link", "add", "outer0", "type", "bridge")
        self._address(h, "outer0", f"{topology.SERVER4}/24", f"{topology.SERVER6}/64")
        self.internet = self._place("internet", "none")
        self._cable(self.internet, "inner0", f"{topology.INTERNET4}/24", f"{topology.INTERNET6}/64")
        self._address(h, "inner0", f"{topology.UPLINK4}/24", f"{topology.UPLINK6}/64")
        self.clients = [self._client(n) for n in range(2)]

    def _address(self, ns, device, *addresses):
        for a in addresses:
            topology.add_address(ns, device, a)
        ns.ip("link", "set", device, "up")

    def _cable(self, place, device, *addresses):
        """A device of the engine's machine that leads to eth0 of that place."""
        self.host.ip("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", place.name)
        place.run("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.disable_ipv6=0",
                  "net.ipv6.conf.eth0.disable_ipv6=0")
        self._address(place, "eth0", *addresses)

    def _client(self, n):
        place = self._place(f"client{n}", "none")
        self._cable(place, f"port{n}", f"203.0.113.{10 + n}/24", f"2001:db8:0:1::{10 + n}/64")
        self.host.ip("link", "set", f"port{n}", "master", "outer0", "up")
        place.address4 = f"203.0.113.{10 + n}"
        return place

    def remove(self):
        host = None
        for place in reversed(self.places):
            if place.name.endswith("host"):
                host = place
            else:
                place.remove()
        if host:
            for device in ("outer0", "inner0"):
                subprocess.run([*host.prefix(), "ip", "link", "delete", device], capture_output=True)
            host.remove()
        self.places = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


def status_of(pid):
    """/proc status of a process: {field: text}."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return dict(re.findall(r"^(\w+):[ \t]*(.*)$", text, re.M))


def children_of(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
