"""What the processes may do, read from /proc while they serve a client."""
import os
import pathlib
import pwd
import re

import stat

import pytest

from poll import until

CAP_NET_ADMIN = 1 << 12


@pytest.fixture(scope="module")
def served(module_gateway):
    g = module_gateway()
    _, _, issued = g.provision("laptop")
    g.tunnel = g.client(issued)
    g.helpers = g.dataplane.children()
    assert len(g.helpers) == 1, "the dataplane has one child: the netconf helper"
    g.pids = {"dataplane": g.dataplane.pid, "helper": g.helpers[0], "controlplane": g.controlplane.pid}
    g.uids = {"dataplane": pwd.getpwnam("ireko").pw_uid, "helper": pwd.getpwnam("ireko").pw_uid,
              "controlplane": pwd.getpwnam("ireko-control").pw_uid}
    return g


def threads(pid):
    """/proc status of every thread: a list of {field: text}."""
    return [dict(re.findall(r"^(\w+):[ \t]*(.*)$", (t / "status").read_text(), re.M))
            for t in pathlib.Path(f"/proc/{pid}/task").iterdir()]


WHO = ["dataplane", "helper", "controlplane"]


@pytest.mark.parametrize("who", WHO)
def test_user_and_groups(served, who):
    gid = pwd.getpwnam("ireko").pw_gid
    for t in threads(served.pids[who]):
        assert set(t["Uid"].split()) == {str(served.uids[who])} and served.uids[who] != 0
        assert set(t["Gid"].split()) == {str(gid)}
        assert t["Groups"].split() in ([], [str(gid)])


@pytest.mark.parametrize("who", WHO)
def test_capabilities(served, who):
    keep = CAP_NET_ADMIN if who == "helper" else 0
    for t in threads(served.pids[who]):
        for name in ("CapEff", "CapPrm"):
            assert int(t[name], 16) == keep, f"{t['Name']} {name}"
        for name in ("CapInh", "CapAmb"):
            assert int(t[name], 16) == 0, f"{t['Name']} {name}"
        # setpriv, which starts the control plane here, has no CAP_SETPCAP left for an empty bounding set.
        if who != "controlplane":
            assert int(t["CapBnd"], 16) & ~keep == 0, t["Name"]


@pytest.mark.parametrize("who", WHO)
def test_no_new_privileges_and_seccomp(served, who):
    for t in threads(served.pids[who]):
        assert t["NoNewPrivs"] == "1", t["Name"]
        assert t["Seccomp"] == "2", t["Name"]
        # The control plane has one against io_uring from its start on, and the list when it serves.
        assert int(t["Seccomp_filters"]) >= (2 if who == "controlplane" else 1), t["Name"]


@pytest.mark.parametrize("who", WHO)
def test_no_core_dumps(served, who):
    pid = served.pids[who]
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    assert re.search(r"^Max core file size\s+0\s+0\s", limits, re.M), limits
    # Of a process that is not dumpable the files in /proc belong to root.
    assert os.stat(f"/proc/{pid}/environ").st_uid == 0, "dumpable"


@pytest.mark.parametrize("who", WHO)
def test_memory_is_never_writable_and_executable(served, who):
    maps = pathlib.Path(f"/proc/{served.pids[who]}/maps").read_text()
    assert not re.search(r"^\S+ [r-]wx", maps, re.M)


def test_open_files(served):
    """The dataplane and its helper hold nothing of the database or a key."""
    for who in WHO:
        pid = served.pids[who]
        for fd in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            if who != "controlplane":
                assert not target.startswith(str(served.data_dir) + "/"), target
            # libnftables opens its socket of the helper without it; nobody here may execve anyway.
            info = pathlib.Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
            flags = int(re.search(r"flags:\s*(\d+)", info).group(1), 8)
            assert int(fd) <= 2 or who == "helper" or flags & os.O_CLOEXEC, f"{who} {fd} {target}"


def test_data_folder(served):
    assert stat.S_IMODE(served.data_dir.stat().st_mode) == 0o700
    for f in served.data_dir.iterdir():
        assert stat.S_IMODE(f.stat().st_mode) == 0o600, f.name
    assert (served.data_dir / "master.key").stat().st_size >= 32


def test_no_secret_in_environment_or_arguments(served):
    for pid in served.pids.values():
        argv = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        assert served.admin_password.encode() not in argv


def test_door_mode(served):
    door = served.run_dir / "dataplane.sock"
    s = door.stat()
    assert stat.S_ISSOCK(s.st_mode) and stat.S_IMODE(s.st_mode) == 0o660
    assert s.st_gid == pwd.getpwnam("ireko").pw_gid


HELLO_PROGRAM = """
import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[3]))
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(3)
try:
    s.connect(sys.argv[1])
    s.send(bytes.fromhex(sys.argv[4]))
    got = s.recv(8192)
    print("answered" if got else "closed")
except OSError as error:
    print(type(error).__name__)
"""


def knock(g, gid, uid, frame="0100000001000000"):
    """What happens to somebody who connects to the door and says something."""
    return g.ns.run("/usr/bin/python3", "-c", HELLO_PROGRAM, g.run_dir / "dataplane.sock", gid, uid, frame).strip()


def test_foreigners_at_the_door(served):
    """No way in for another user, and whoever has the group only is not listened to either."""
    nobody = pwd.getpwnam("nobody")
    group = pwd.getpwnam("ireko").pw_gid
    assert knock(served, nobody.pw_gid, nobody.pw_uid) == "PermissionError"
    assert knock(served, group, nobody.pw_uid) in ("closed", "ConnectionResetError", "BrokenPipeError")
    # The control plane's own connection has not suffered.
    assert served.tunnel.ping("198.51.100.2")
    assert served.anonymous.request("GET", "/readyz").status == 200


def test_garbage_at_the_door(served, rng):
    """From the right user but no HELLO: refused, and the real control plane goes on."""
    group, uid = pwd.getpwnam("ireko").pw_gid, served.uids["controlplane"]
    for _ in range(10):
        assert knock(served, group, uid, rng.randbytes(rng.randrange(1, 200)).hex()) != "answered"
    assert served.dataplane.alive()
    served.wait_ready(5)
    assert served.tunnel.ping("198.51.100.2")


def test_stop_gives_everything_back(gateway):
    """Forwarding and rules are as before the start; a helper does not outlive its dataplane."""
    g = gateway()
    helper = g.dataplane.children()
    g.stop()
    for pid in helper:
        assert not pathlib.Path(f"/proc/{pid}").exists()
    for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        assert g.ns.run("sysctl", "-n", name).strip() == "0", name
    assert not (g.run_dir / "dataplane.sock").exists()


def test_killed_dataplane_leaves_no_rules(gateway):

    g = gateway()
    helper = g.dataplane.children()[0]
    g.dataplane.kill()
    until(lambda: "ireko0" not in g.ns.run("nft", "list", "tables"), 3, "the helper removes its table")
    until(lambda: not pathlib.Path(f"/proc/{helper}").exists() or
          "\nState:\tZ" in pathlib.Path(f"/proc/{helper}/status").read_text(), 3, "the helper ends")
    assert g.ns.run("sysctl", "-n", "net.ipv4.ip_forward").strip() == "0"
    g.controlplane.stop()
