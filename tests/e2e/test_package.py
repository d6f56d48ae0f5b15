"""On a host without containers: what `make install` puts where, the systemd units, and the Debian package from its
installation to its purge, on a machine with a systemd that runs."""
import json
import os
import pathlib
import re
import subprocess

import pytest

import daemons
import topology
from booted import Booted
from poll import until

ROOT = daemons.ROOT
UNITS = ["ireko-dataplane.service", "ireko-controlplane.service"]


def make(*words):
    return topology.run("make", "-C", ROOT, *words, timeout=300)


def files(tree):
    return sorted(str(p.relative_to(tree)) for p in tree.rglob("*") if not p.is_dir())


def test_install_and_uninstall(tmp_path):
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/opt/ireko")
    there = files(tmp_path)
    assert {"opt/ireko/sbin/ireko-dataplane", "opt/ireko/sbin/ireko-controlplane", "opt/ireko/bin/ireko", "etc/ireko/ireko.env",
            "opt/ireko/lib/systemd/system/ireko-dataplane.service"} <= set(there)
    for unit in UNITS:
        text = (tmp_path / "opt/ireko/lib/systemd/system" / unit).read_text()
        program, = re.findall(r"^ExecStart=(\S+)", text, re.M)
        assert (tmp_path / program[1:]).stat().st_mode & 0o777 == 0o755
    assert "complete " in (tmp_path / "opt/ireko/share/bash-completion/completions/ireko").read_text()
    # Settings of an administrator are not overwritten, and stay.
    (tmp_path / "etc/ireko/ireko.env").write_text("mine\n")
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/opt/ireko")
    assert (tmp_path / "etc/ireko/ireko.env").read_text() == "mine\n"
    make("uninstall", f"DESTDIR={tmp_path}", "PREFIX=/opt/ireko")
    assert files(tmp_path) == ["etc/ireko/ireko.env"]


def test_settings_file_names_every_setting():
    """Those of both daemons and no other, with their defaults."""
    known = {}
    for program in ("ireko-dataplane", "ireko-controlplane"):
        text = topology.run(daemons.build_dir() / "bin" / program, "--help")
        known |= dict(re.findall(r"^  --\S+ +(IREKO_\w+) .*\(default: (.*)\)$", text, re.M))
    written = dict(re.findall(r"^#(IREKO_\w+)=(.*)$", (ROOT / "docker/systemd/ireko.env").read_text(), re.M))
    assert set(written) == set(known)
    for name, default in known.items():
        assert default == "none" or written[name] == default, name


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_closed(unit, figure):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager",
                           ROOT / "docker/systemd" / unit], capture_output=True, text=True)
    exposure = re.search(r"exposure level for \S+: (\d+\.\d+)", done.stdout)[1]
    figure("exposure", f"{unit} {exposure}")
    assert done.returncode == 0 and float(exposure) <= 2.0, done.stdout


@pytest.fixture(scope="module")
def package():
    make("deb")
    built, = (ROOT / "build/deb").glob("*.deb")
    return built


@pytest.fixture(scope="module")
def machine():
    m = Booted()
    yield m
    m.remove()


def main_pid(m, unit):
    return int(m("systemctl", "show", "-P", "MainPID", unit))


def healthy(m):
    env = {"IREKO_RUN_DIR": "/run/ireko"}
    return all(m.run(f"/usr/sbin/{u.removesuffix('.service')}", "--healthcheck", env=env).status == 0 for u in UNITS)


def wait_healthy(m, seconds=15):
    until(lambda: healthy(m), seconds, "both are healthy", every=0.2)


def left_by_it(m):
    """Where packages and systemd put theirs; the users stay by intention."""
    places = ["/etc", "/usr/bin", "/usr/sbin", "/usr/lib/systemd", "/usr/lib/sysusers.d", "/usr/lib/tmpfiles.d", "/usr/share",
              "/var/lib/systemd"]
    return sorted(m("find", *places, "-name", "*ireko*").split("\n"))


def test_package_from_first_to_last(machine, package):
    m = machine
    before_all = left_by_it(m)
    for unit in UNITS:  # not of an earlier installation of this very machine
        assert m.run("systemctl", "cat", unit).status != 0
    m.path("/root/ireko.deb").write_bytes(package.read_bytes())
    m("dpkg", "-i", "/root/ireko.deb")
    wait_healthy(m)
    for unit, user in zip(UNITS, ("ireko", "ireko-control")):
        assert m("systemctl", "is-enabled", unit).strip() == "enabled"
        s = dict(re.findall(r"^(\w+):[ \t]*(.*)$", m("cat", f"/proc/{main_pid(m, unit)}/status"), re.M))
        uid = m("id", "-u", user).split()
        assert s["Uid"].split() == uid * 4 and s["CapEff"] == s["CapPrm"] == s["CapAmb"] == "0" * 16
        assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2"
    assert m("cat", "/proc/sys/net/ipv4/ip_forward").strip() == "1"
    journal = m("journalctl", "--no-pager", "-b", "-u", UNITS[0])
    assert "ready: ireko0" in journal and "usual time slice" not in journal, "the unit lets it ask for a longer one"

    # README's first device, with the password that first start has left.
    env = {"IREKO_PASSWORD_FILE": "/var/lib/ireko/first-password"}
    m("ireko", "login", env=env)
    assert "admin password" not in m("journalctl", "--no-pager", "-b")
    m("sh", "-c", "cd /root && ireko device add laptop")
    assert "[Interface]" in m("cat", "/root/laptop.conf")

    before = main_pid(m, UNITS[0])
    m("systemctl", "kill", "-s", "KILL", "--kill-whom=main", UNITS[0])
    until(lambda: main_pid(m, UNITS[0]) not in (0, before), 10, "it is started anew", every=0.1)
    wait_healthy(m)
    # The folder of the socket: the dataplane goes on until the control plane is gone, then both come back.
    m("rm", "-rf", "/run/ireko")
    m("systemctl", "restart", UNITS[1])
    wait_healthy(m, 20)

    with open(m.path("/etc/ireko/ireko.env"), "a") as f:
        f.write("IREKO_LOG_LEVEL=debug\n")
    m("dpkg", "-i", "/root/ireko.deb")  # as an upgrade: settings stay, both run the new programs
    assert m.path("/etc/ireko/ireko.env").read_text().endswith("IREKO_LOG_LEVEL=debug\n")
    wait_healthy(m)
    assert [d["name"] for d in json.loads(m("ireko", "device", "list", "--json"))["items"]] == ["laptop"]

    m("dpkg", "-r", "ireko")
    assert m.run("pgrep", "ireko").status != 0, "both have ended"
    assert m.path("/var/lib/ireko/ireko.db").exists() and m.path("/etc/ireko/ireko.env").exists()
    assert m("cat", "/proc/sys/net/ipv4/ip_forward").strip() == "0"
    m("dpkg", "-P", "ireko")
    assert not m.path("/var/lib/ireko").exists() and not m.path("/etc/ireko").exists()
    assert left_by_it(m) == before_all
