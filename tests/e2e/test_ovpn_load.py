"""200 OpenVPN sessions with real TLS, made by our own client (ovpnload.c): handshakes a second, and the memory that a
session takes in each daemon, before and after."""
import json
import pathlib
import subprocess
import sys

import kinds
import topology
import traffic
from poll import until

SESSIONS = 200
BUILD = pathlib.Path(__file__).resolve().parents[2] / "build" / "plain"


def program():
    top = BUILD.parents[1]
    flags = topology.run("pkg-config", "--libs", "libssl", "libcrypto").split()
    sim = [top / "tests/sim" / f"ovpn_{part}.c" for part in ("client", "data", "profile")]
    return traffic.tool("ovpnload", *sim, BUILD / "libcontrol.a", BUILD / "libdata.a",
                        f"-I{top}", f"-I{top}/dataplane", f"-I{top}/controlplane", f"-I{top}/tests/sim", *flags)


class Load:
    """The tool: connects all, says how it went, keeps the sessions until it is ended."""

    def __init__(self, ns, folder, host=topology.SERVER4, at_once=16, epochs=False):
        argv = [program(), host, 1194, at_once, folder] + (["epochs"] if epochs else [])
        self.process = ns.popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)

    def connected(self):
        """{"sessions", "seconds", "failed", ...} when the last handshake is over."""
        return json.loads(self.process.stdout.readline())

    def echoes(self):
        """{"what", "sent", "answered", "epoch"}: a ping inside of each tunnel, and the lowest of the newest epochs that
        came back (0: the classic format)."""
        return json.loads(self.process.stdout.readline())

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def test_200_sessions(gateway, figure):
    g = gateway(env={"IREKO_LOG_LEVEL": "info"})
    user = g.user("crowd")
    folder = topology.temporary() / "profiles"
    folder.mkdir()
    for i in range(SESSIONS):
        (folder / f"{i}.ovpn").write_text(g.credential(g.device(user, f"device-{i}"), "openvpn")["profile"])
    # The first handshake loads what every later one shares.
    g.connected("first", kinds.UDP)
    idle = {d.name: d.rss_kb() for d in g.daemons}
    load = g.own(Load(g.net.client(), folder))
    said = load.connected()
    figure("handshakes", f"{said['sessions'] / said['seconds']:.0f} a second, {said['sessions']} in {said['seconds']:.2f} s, "
                         f"slowest {said['slowest_ms']} ms")
    assert (said["sessions"], said["failed"]) == (SESSIONS, 0)
    until(lambda: len(g.api.all("/v1/sessions")) == SESSIONS + 1, 5, "all are listed")
    for d in g.daemons:
        now = d.rss_kb()
        figure(f"{d.name}: memory", f"{idle[d.name]} kB before, {now} kB with {SESSIONS} more sessions: "
                                    f"{(now - idle[d.name]) / SESSIONS:.1f} kB each")
        assert now - idle[d.name] < SESSIONS * 64 + 4096
    echoes = load.echoes()
    assert echoes["answered"] == echoes["sent"] == SESSIONS, echoes
    assert echoes["epoch"] == 0, "nobody announced epochs"
    load.kill()
