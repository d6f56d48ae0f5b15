"""One command on a machine with nothing installed, from a clean clone, and README's first device.

The tests are one story, told in order on one machine."""
import json
import pathlib
import re
import time

import pytest

import machine
import topology
from client import Client
from poll import until
from rest import Rest

HERE = "/root/ireko"
SETTINGS = [f"IREKO_ENDPOINT={machine.OUTER4}"]
DAEMONS = {"ireko-dataplane", "ireko-controlplane"}


def code_block(readme, starts_with):
    """The block of README that begins so, as a reader would paste it."""
    blocks = [b for b in re.findall(r"^```\n(.*?)^```$", readme, re.M | re.S) if b.startswith(starts_with)]
    assert blocks, f"README has no block that starts with {starts_with}"
    return blocks[0]


def traces(m):
    """Everything the service may leave in a machine that runs: what is there before must be there after, and no more."""
    ns = m.net.server
    return {
        "processes": sorted(ns.pids()),
        "links": sorted(link["ifname"] for link in json.loads(ns.ip("-j", "link"))),
        "addresses": sorted(ns.run("ip", "-br", "address").splitlines()),
        "routes": ns.ip("-4", "route", "show", "table", "all") + ns.ip("-6", "route", "show", "table", "all"),
        "rules": ns.ip("rule") + ns.ip("-6", "rule"),
        "packet filter": ns.run("nft", "list", "ruleset"),
        "sockets": ns.run("ss", "-Hlntuwx"),
        "sysctls": ns.run("sh", "-c", "sysctl -a --pattern '^net\\.(ipv4|ipv6)\\.(ip_forward|conf)' 2>/dev/null"),
        "/run": sorted(p.name for p in m.path("/run").iterdir() if p.name != "lock"),
    }


class Story:
    """One machine; what happened on it so far."""

    def __init__(self):
        self.machine = machine.Machine()
        self.tunnel = None
        disk = self.machine.disk
        # What a clone over the network would bring: the commit, not the working tree.
        topology.run("git", "clone", "-q", "--bare", "--depth", "1", f"file://{machine.ROOT}", disk / "srv/ireko.git")
        status, _, errors = self.machine.shell("git clone -q /srv/ireko.git ireko")
        assert status == 0, errors
        self.readme = (disk / HERE[1:] / "README.md").read_text()
        self.before = traces(self.machine)

    def up(self):
        """`make up`: (its output, seconds)."""
        began = time.monotonic()
        status, output, errors = self.machine.shell("make up", HERE, 600, SETTINGS)
        assert status == 0, f"make up: exit {status}\n{output}\n{errors}\n{self.logs()}"
        assert errors == ""
        return output, time.monotonic() - began

    def logs(self):
        return "".join(f"== {p.name}\n{p.read_text()}" for p in sorted((self.machine.disk / "var/log/ireko").glob("*.log")))

    def daemons(self):
        """{name: process number} of what runs."""
        found = {}
        for pid in self.machine.net.server.pids():
            argv = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            name = pathlib.Path(argv[0].decode()).name
            parent = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
            if name in DAEMONS and parent == self.machine.first:
                found[name] = pid
        return found

    def server(self):
        """The gateway's address in the tunnel."""
        return re.sub(r"\.\d+$", ".1", self.tunnel.address4)

    def close(self):
        if self.tunnel is not None:
            self.tunnel.remove()
        self.machine.remove()


@pytest.fixture(scope="module")
def story():
    s = Story()
    yield s
    s.close()


def test_machine_has_nothing(story):
    assert story.machine.shell("for t in cc gcc pkg-config curl jq ip nft wg; do ! command -v $t || exit 1; done")[0] == 0
    assert story.machine.shell("id ireko || id ireko-control")[0] != 0


def test_make_up(story, figure):
    with story.machine.packages():
        story.output, story.seconds = story.up()
    figure("make up from a clean clone", f"{story.seconds:.0f} s")
    assert set(story.daemons()) == DAEMONS
    password = re.search(r"^\s*password +(\S+) +\(shown this once\)$", story.output, re.M)
    assert password and len(password.group(1)) >= 16, story.output
    story.password = password.group(1)
    assert "http://127.0.0.1:8080" in story.output and re.search(r"^\s*user +admin$", story.output, re.M)
    command = re.search(r"^Add the first device:\n +(\S.*)\n\Z", story.output, re.M)
    assert command, story.output
    story.command = command.group(1)


def test_printed_command_adds_a_device(story, figure):
    assert story.command == f"{HERE}/{code_block(story.readme, 'build/bin/ireko').split('#')[0].strip()}"
    began = time.monotonic()
    status, output, errors = story.machine.shell(story.command)
    assert status == 0 and errors == "", errors
    figure("first device", f"{story.seconds + time.monotonic() - began:.0f} s after make up was typed")
    file = story.machine.disk / "root/laptop.conf"
    assert file.stat().st_mode & 0o7777 == 0o600 and file.stat().st_uid == 0
    assert "laptop.conf" in output
    story.profile = file.read_text()
    assert story.profile.startswith("[Interface]") and f"Endpoint = {machine.OUTER4}:51820" in story.profile


def test_password_is_known_to_the_reader_only(story):
    admin = Rest(story.machine.net.server, 8080).login("admin", story.password)
    assert admin.get("/v1/me")["user"]["name"] == "admin"
    admin.close()
    assert story.password not in story.logs()
    for folder in ("var/lib/ireko", "var/log/ireko", "tmp", "root"):
        for file in (story.machine.disk / folder).rglob("*"):
            if file.is_file() and not file.is_symlink():
                assert story.password.encode() not in file.read_bytes(), file
    for pid in story.daemons().values():
        for what in ("cmdline", "environ"):
            assert story.password.encode() not in pathlib.Path(f"/proc/{pid}/{what}").read_bytes()


def test_profile_connects(story):
    story.tunnel = Client(story.machine.net.outside, story.profile).start()
    until(lambda: story.tunnel.ping(story.server(), seconds=1), 10, "the server answers in the tunnel")
    assert story.tunnel.ping(story.server(), count=5)


def test_rest_lines_of_the_readme(story):
    status, output, errors = story.machine.shell(code_block(story.readme, "api="), HERE)
    assert status == 0 and errors == "", errors
    profile, sessions = output.split("{", 1)
    assert profile.startswith("[Interface]\n") and "PrivateKey = " in profile and "[Peer]\n" in profile
    [session] = json.loads("{" + sessions)["items"]
    assert session["protocol"] == "wireguard" and session["endpoint"].startswith(machine.CLIENT4 + ":")


def test_make_up_again_changes_nothing(story):
    ran = story.daemons()
    output, seconds = story.up()
    assert seconds < 60
    assert "Ireko is running" in output and story.command in output
    assert story.password not in output and "password of the first start" in output
    assert story.daemons() == ran
    assert story.tunnel.ping(story.server(), count=3)


def test_make_down_leaves_only_the_data(story):
    status, output, errors = story.machine.shell("make down", HERE, 60)
    assert status == 0 and errors == "", errors
    assert all(f"{name} ended" in output for name in DAEMONS), output
    after = traces(story.machine)
    for what, there in story.before.items():
        assert after[what] == there, what
    assert {p.name for p in (story.machine.disk / "var/lib/ireko").iterdir()} >= {"ireko.db", "master.key"}
    # Once more ends nothing and fails at nothing.
    assert story.machine.shell("make down", HERE, 60) == (0, "", "")


def test_make_up_finds_the_data(story):
    output, _ = story.up()
    assert story.password not in output
    admin = Rest(story.machine.net.server, 8080).login("admin", story.password)
    assert [d["name"] for d in admin.all("/v1/devices")] == ["laptop", "phone"]
    admin.close()
    # The client was told nothing: it knocks until it is let in.
    until(lambda: story.tunnel.ping(story.server(), seconds=1), 30, "the tunnel is up again")
