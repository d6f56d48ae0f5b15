"""The health checks of both programs, as a container's engine or a supervisor calls them: with the daemons'
own settings, next to them. And the dataplane started by a user, with a capability of its file."""
import os
import pwd
import re
import shutil
import signal
import subprocess
import time

import pytest

import daemons
import topology
from poll import until

# As udev leaves it; a device that was made by hand may be root's alone.
OPEN_TUN = 'mknod -m 666 "$0" c 10 200 && mount --bind "$0" /dev/net/tun && exec "$@"'


def check(g, daemon, *flags, user=None):
    """(exit status, the line) of its --healthcheck, with its settings; as somebody else than root if user."""
    who = ["setpriv", "--reuid", user, "--regid", "ireko", "--clear-groups"] if user else []
    done = subprocess.run([*g.ns.prefix(), *who, daemon.program, "--healthcheck", *flags], env=daemon.env,
                          capture_output=True, text=True, timeout=10)
    line = done.stdout + done.stderr
    assert line.count("\n") == 1 and bool(done.stdout) == (done.returncode == 0), line
    return done.returncode, line


def becomes(g, daemon, status, text):
    until(lambda: check(g, daemon)[0] == status and text in check(g, daemon)[1], 8, text, every=0.2)


def test_what_is_wrong_is_said(gateway):
    g = gateway()
    assert check(g, g.dataplane)[0] == 0 and "ireko0" in check(g, g.dataplane)[1]
    assert check(g, g.dataplane, user="ireko")[0] == 0
    assert check(g, g.controlplane) == (0, "ireko-controlplane: healthy: ready\n")
    assert check(g, g.controlplane, user="ireko-control")[0] == 0

    # Stopped, not dead: its sockets stand and nobody answers.
    os.kill(g.dataplane.pid, signal.SIGSTOP)
    try:
        becomes(g, g.controlplane, 1, "the dataplane does not answer")
        assert check(g, g.dataplane) == (1, "ireko-dataplane: not healthy: the dataplane does not answer\n")
    finally:
        os.kill(g.dataplane.pid, signal.SIGCONT)
    becomes(g, g.controlplane, 0, "ready")

    # Under the dataplane's feet; the device is as good as gone for whoever asks from another namespace, too.
    elsewhere = subprocess.run([g.dataplane.program, "--healthcheck"], env=g.dataplane.env, capture_output=True,
                               text=True, timeout=10)
    assert elsewhere.returncode == 1 and "ireko0: the TUN device is gone" in elsewhere.stderr

    g.controlplane.kill()
    becomes(g, g.dataplane, 1, "no control plane is connected")
    assert check(g, g.controlplane)[0] == 1 and "nobody listens" in check(g, g.controlplane)[1]
    g.controlplane.start()
    g.wait_ready()
    assert check(g, g.dataplane)[0] == 0
    g.dataplane.kill()
    becomes(g, g.controlplane, 1, "the dataplane is not connected")
    assert check(g, g.dataplane)[0] == 1 and "nobody listens" in check(g, g.dataplane)[1]
    g.dataplane.start()
    becomes(g, g.controlplane, 0, "ready")


def test_ready_means_that_the_status_is_true(gateway, figure):
    """In the first answer after the first 200: all devices, and this dataplane's listeners and libraries."""
    g, devices = gateway(), 3
    for i in range(devices):
        g.provision(f"counted-{i}")
    took = []
    for down in [[g.controlplane], g.daemons, [g.dataplane]] * 3:
        for d in down:
            d.kill()
        if down == [g.dataplane]:
            until(lambda: g.anonymous.request("GET", "/readyz").status == 503, 5, "not ready without a dataplane")
        for d in down:
            d.start()
        g.wait_ready(every=0.001)
        status = g.status()["dataplane"]
        took.append(time.monotonic() - down[-1].started)
        assert status["connected"] and status["peers"] == devices and status["listen"] and status["aead"], status
    figure("ready, with its status, after", f"{sorted(took)[len(took) // 2]:.3f} s, at most {max(took):.3f} s")


def test_control_plane_over_https_on_any_address(tmp_path):
    """As in a container: [::] and a certificate of its own. No dataplane: it says that."""
    daemons.make_users()
    folder = topology.temporary() / "https"
    env = {"IREKO_DATA_DIR": str(folder / "data"), "IREKO_RUN_DIR": str(folder), "IREKO_HTTP_LISTEN": "[::]:8443",
           **daemons.SANITIZER}
    folder.mkdir(mode=0o755)
    ns = topology.Namespace(f"ireko-health-{os.getpid()}")
    program = daemons.build_dir() / "bin/ireko-controlplane"
    p = ns.popen([program], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert any(" ready on https" in line for line in p.stderr)
        done = subprocess.run([*ns.prefix(), program, "--healthcheck"], env=env, capture_output=True, text=True, timeout=10)
        assert done.returncode == 1 and done.stderr == \
            "ireko-controlplane: not healthy: the dataplane is not connected\n"
    finally:
        p.terminate()
        p.communicate(timeout=10)
        ns.remove()
        shutil.rmtree(folder)


@pytest.fixture
def capable(request):
    """A copy of the dataplane whose file permits CAP_NET_ADMIN, without making it effective."""
    copy = topology.temporary() / "ireko-dataplane"
    shutil.copy(daemons.build_dir() / "bin/ireko-dataplane", copy)
    copy.chmod(0o755)
    topology.run("setcap", "cap_net_admin=p", copy)
    yield copy
    copy.unlink()


def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(re.findall(r"^(\w+):[ \t]*(.*)$", f.read(), re.M))


def test_dataplane_of_a_user_with_a_file_capability(gateway, capable):
    """Never root; no more than CAP_NET_ADMIN could be had, as in a container that drops all others."""
    nobody = pwd.getpwnam("ireko").pw_uid
    g = gateway()
    g.dataplane.stop()
    as_user = ["sh", "-c", OPEN_TUN, g.dir / "tun", "setpriv", "--bounding-set", "-all,+net_admin", "--inh-caps", "-all", "--reuid", "ireko",
               "--regid", "ireko", "--clear-groups"]
    d = daemons.Daemon("dataplane", g.ns, capable, [*as_user, capable], g.dataplane.env, g.dataplane.log)
    g.daemons[0] = g.dataplane = d.start()
    g.wait_ready()
    assert check(g, d, user="ireko")[0] == 0
    _, _, issued = g.provision("laptop")
    assert g.client(issued).ping(topology.INTERNET4)
    helper, = d.children()
    for pid, caps in ((d.pid, 0), (helper, 1 << 12)):
        s = status(pid)
        assert set(s["Uid"].split()) == {str(nobody)}
        assert int(s["CapEff"], 16) == int(s["CapPrm"], 16) == caps and int(s["CapAmb"], 16) == 0
        assert int(s["CapBnd"], 16) == 1 << 12, "what setpriv left, and with no_new_privs worth nothing"
        assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2"


def test_without_the_capability_it_says_so(tmp_path):
    done = subprocess.run(["unshare", "-mn", "sh", "-c", OPEN_TUN, tmp_path / "tun", "setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups",
                           "--inh-caps", "-all", "--bounding-set", "-all",
                           daemons.build_dir() / "bin/ireko-dataplane"],
                          env={"IREKO_RUN_DIR": "/tmp/ireko-nobody", **daemons.SANITIZER,
                               "IREKO_LISTEN": "udp://127.0.0.1:51999"},
                          capture_output=True, text=True, timeout=20)
    shutil.rmtree("/tmp/ireko-nobody", ignore_errors=True)
    assert done.returncode == 1 and "CAP_NET_ADMIN" in done.stderr
