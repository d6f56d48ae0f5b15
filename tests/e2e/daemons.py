"""The two daemons as they run in service: dataplane from root to user ireko, control plane without
any privilege. One Pair is one gateway with its own folders, ports and namespaces."""
import fcntl
import grp
import os
import pathlib
import pwd
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import time

import topology
from poll import until
from rest import Rest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("IREKO_TEST_BUILD", "build/plain"))
ADMIN_PASSWORD = "a long enough passphrase"
HTTP_PORT, HTTPS_PORT = 8080, 8443
# Leak detection needs ptrace, which the daemons give up on purpose.
SANITIZER = {
    "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=4:malloc_context_size=8:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "second_deadlock_stack=1",
}
REPORT = re.compile(r"AddressSanitizer|UndefinedBehaviorSanitizer|ThreadSanitizer|LeakSanitizer|runtime error:")
_running = []


def build_dir(build=None):
    """The folder of a build variant; relative names are taken from the top of the tree."""
    return ROOT / (build or BUILD)


def make_users():
    """System users ireko and ireko-control (group ireko), made when missing."""
    with open("/tmp/.ireko-e2e-users", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for user, extra in (("ireko", ["--user-group"]), ("ireko-control", ["--gid", "ireko"])):
            try:
                pwd.getpwnam(user)
            except KeyError:
                topology.run("useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent",
                             "--shell", "/usr/sbin/nologin", *extra, user)


class Daemon:
    """One program: start, kill, stop, and its log over all starts."""

    def __init__(self, name, ns, program, argv, env, log, nice=0):
        self.name, self.ns, self.program, self.argv, self.env, self.log = name, ns, program, argv, env, log
        self.nice = nice
        self.process = None
        self.killed = False   # by us
        self.started = None   # monotonic time of the last start

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        assert self.process is None or self.process.poll() is not None, f"{self.name} runs already"
        assert self.program.exists(), f"{self.program} is not built (make programs, or SAN=...)"
        self.killed = False
        with open(self.log, "ab") as log:
            self.started = time.monotonic()
            nice = ["nice", "-n", str(self.nice)] if self.nice else []
            self.process = self.ns.popen(nice + self.argv, env=self.env, stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log, cwd="/")
        _running.append(self)
        return self

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def _gone(self):
        if self in _running:
            _running.remove(self)

    def kill(self):
        """SIGKILL. Returns when it is dead."""
        self.process.kill()
        self.process.wait(10)
        self.killed = True
        self._gone()

    def stop(self, seconds=15):
        """SIGTERM; it must end with exit status 0."""
        if self.process is None or self.killed:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {seconds} s of SIGTERM")
        self._gone()
        assert status == 0, f"{self.name} ended with {status} on SIGTERM\n{self.tail()}"

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, n=60):
        return "\n".join(self.text().splitlines()[-n:])

    def check_log(self):
        lines = self.text().splitlines()
        bad = [i for i, line in enumerate(lines) if REPORT.search(line)]
        assert not bad, f"{self.name}: sanitizer report\n" + "\n".join(lines[bad[0]:bad[0] + 60])

    def rss_kb(self, pid=None):
        text = pathlib.Path(f"/proc/{pid or self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    def children(self):
        text = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(p) for p in text.split()]


class Pair:
    """A gateway: dataplane and control plane in the server namespace of a Net. https: the API is there for everybody, with a
    certificate of its own authority, as in a container."""

    def __init__(self, net, endpoint=topology.SERVER4, build=None, nice=0, env=None, https=False):
        make_users()
        self.net, self.ns = net, net.server
        self.build = build_dir(build)
        self.http_port, self.admin_password = HTTPS_PORT if https else HTTP_PORT, ADMIN_PASSWORD
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="gateway-", dir=topology.temporary()))
        self.dir.chmod(0o755)
        self.run_dir, self.data_dir = self.dir / "run", self.dir / "data"
        control, group = pwd.getpwnam("ireko-control").pw_uid, grp.getgrnam("ireko").gr_gid
        for path, owner, mode in ((self.run_dir, pwd.getpwnam("ireko").pw_uid, 0o770), (self.data_dir, control, 0o700)):
            path.mkdir()
            os.chown(path, owner, group)
            path.chmod(mode)
        common = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "IREKO_RUN_DIR": str(self.run_dir),
                  "IREKO_LOG_LEVEL": "debug", **SANITIZER, **(env or {})}
        dataplane = self.build / "bin/ireko-dataplane"
        self.dataplane = Daemon("dataplane", self.ns, dataplane, [dataplane], common,
                                self.dir / "dataplane.log", nice)
        controlplane = self.build / "bin/ireko-controlplane"
        self.controlplane = Daemon(
            "controlplane", self.ns, controlplane,
            ["setpriv", "--reuid", "ireko-control", "--regid", "ireko", "--clear-groups", "--no-new-privs",
             controlplane],
            {**common, "IREKO_DATA_DIR": str(self.data_dir), "IREKO_ENDPOINT": endpoint,
             "IREKO_HTTP_LISTEN": f"0.0.0.0:{HTTPS_PORT}" if https else f"127.0.0.1:{HTTP_PORT}",
             "IREKO_ADMIN_PASSWORD": ADMIN_PASSWORD,
             "IREKO_DNS": topology.INTERNET4},
            self.dir / "controlplane.log", nice)
        self.daemons = [self.dataplane, self.controlplane]
        # Who answers is not what our own requests are about.
        self.anonymous = Rest(self.ns, self.http_port, tls=ssl._create_unverified_context() if https else None)
        self.api = None

    def start(self):
        self.dataplane.start()
        self.controlplane.start()
        self.wait_ready()
        admin = self.anonymous.login("admin", ADMIN_PASSWORD)
        token = admin.post("/v1/tokens", {"name": "tests"})["token"]
        admin.close()
        self.api = self.anonymous.bearer(token)
        return self

    def request(self, method, path, body=None, headers=None):
        """As admin, by token."""
        return self.api.request(method, path, body, headers)

    def _probe(self, path):
        for d in self.daemons:
            if d.process is not None and d.process.poll() not in (None, -signal.SIGKILL):
                raise AssertionError(f"{d.name} ended with {d.process.returncode}\n{d.tail()}")
        try:
            return self.anonymous.request("GET", path).status == 200
        except OSError:
            return False
        except Exception as error:  # half an answer of a server that is starting or dying
            return "" if isinstance(error, AssertionError) else False

    def wait_ready(self, seconds=20, every=0.02):
        """Control plane answers, dataplane is connected and synchronised."""
        until(lambda: self._probe("/readyz"), seconds, "ready", every)

    def wait_healthy(self, seconds=20):
        until(lambda: self._probe("/healthz"), seconds, "healthy", every=0.01)

    # What the dataplane counted, by name.
    def status(self):
        return self.api.get("/v1/status")

    def drops(self):
        return self.status()["dataplane"]["drops"]

    def nft_counters(self):
        """Named counters of the gateway's own table: {name: packets}."""
        import json
        text = self.ns.run("nft", "-j", "list", "counters", "table", "inet", "ireko0")
        return {o["counter"]["name"]: o["counter"]["packets"]
                for o in json.loads(text)["nftables"] if "counter" in o}

    # Provisioning, as an admin does it.
    def user(self, name):
        return self.api.post("/v1/users", {"name": name})

    def device(self, user, name, **fields):
        return self.api.post("/v1/devices", {"user_id": user["id"], "name": name, **fields})

    def credential(self, device, protocol="wireguard", **fields):
        return self.api.post(f"/v1/devices/{device['id']}/credentials", {"protocol": protocol, **fields})

    def provision(self, name, user=None, protocol="wireguard", **fields):
        """User (unless given), device and credential: (user, device, credential)."""
        user = user or self.user(f"user-{name}")
        device = self.device(user, name, **fields)
        return user, device, self.credential(device, protocol)

    def restart_controlplane(self):
        """SIGKILL and start."""
        self.controlplane.kill()
        self.controlplane.start()
        self.wait_ready()

    def session_of(self, device):
        return next((s for s in self.api.all("/v1/sessions") if s["device_id"] == device["id"]), None)

    def stop(self):
        """Orderly: both end with 0, nothing stays behind, no sanitizer has anything to say."""
        errors = []
        for d in reversed(self.daemons):
            try:
                d.stop()
            except AssertionError as error:
                errors.append(str(error))
        for d in self.daemons:
            try:
                d.check_log()
            except AssertionError as error:
                errors.append(str(error))
        if not errors:
            left = self.ns.run("nft", "list", "tables") + self.ns.run("ip", "-o", "link")
            if "ireko0" in left:
                errors.append(f"left behind after the stop:\n{left}")
        assert not errors, "\n".join(errors)

    def remove(self):
        for d in self.daemons:
            if d.alive():
                d.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


def logs():
    """Tails of the logs of all daemons that run: for the report of a failed test."""
    return [(f"{d.name} {d.log}", d.tail(80)) for d in _running]
