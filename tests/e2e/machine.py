"""A machine with nothing installed: a minimal Debian of its own, with its own processes, mounts and
network, that only `git` and `make` have been added to. Its way to the packages is this machine's own
(sources, keys and settings of apt, addresses translated by slirp4netns), and lasts as long as the
block `with machine.packages():`. SUITE=trixie takes another Debian than this machine's.

    packages -- tap0 [machine] outer0 -- eth0 [client]
"""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess

import topology
from poll import until

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = (ROOT / "build/machine").resolve()
INCLUDE = "git,make,ca-certificates"  # the last one for sources that come by HTTPS
KEYS = ["/usr/share/keyrings", "/etc/apt/keyrings", "/etc/apt/trusted.gpg.d", "/etc/apt/auth.conf.d",
        "/usr/local/share/ca-certificates"]
ENVIRONMENT = ["HOME=/root", "USER=root", "TERM=dumb", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               *(f"{k}={v}" for k, v in os.environ.items() if k.lower() in ("http_proxy", "https_proxy", "no_proxy"))]

# The first process: sets the machine up, then takes in and buries what loses its parent.
BOOT = """
set -e
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/net dev/pts dev/shm
for node in null zero full random urandom tty net/tun; do
    touch dev/$node
    mount --bind /dev/$node dev/$node
done
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
touch run/booted
exec chroot . sh -c 'while :; do sleep 1000 & wait; done'
"""


def codename():
    here = re.search(r"^VERSION_CODENAME=(\S+)", pathlib.Path("/etc/os-release").read_text(), re.M).group(1)
    return here, os.environ.get("SUITE", here)


def apt_sources():
    """This machine's Debian sources, for the wanted suite: {file name: text}."""
    here, suite = codename()
    found = {}
    for path in sorted([pathlib.Path("/etc/apt/sources.list"), *pathlib.Path("/etc/apt/sources.list.d").glob("*")]):
        if path.suffix in (".list", ".sources") and path.is_file():
            text = path.read_text()
            if re.search(rf"^(deb|Suites:).*\b{here}\b", text, re.M):
                found[path.name] = re.sub(rf"\b{here}\b", suite, text)
    assert found, "apt has no sources for this Debian"
    return found


def apt_settings():
    """How this machine's apt gets at its sources."""
    lines = topology.run("apt-config", "dump").splitlines()
    return "\n".join(line for line in lines
                     if re.match(r"Acquire::(https?::|Check-Valid-Until|Check-Date|Languages)", line)) + "\n"


def image():
    """The archive of a machine's disk; made once."""
    _, suite = codename()
    archive = CACHE / f"{suite}-{INCLUDE.replace(',', '-')}.tar"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        work = CACHE / f"sources-{os.getpid()}"
        work.mkdir(exist_ok=True)
        try:
            for name, text in apt_sources().items():
                (work / name).write_text(text)
            part = work / "image.tar"
            topology.run("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={INCLUDE}", "--format=tar",
                         "--aptopt=Acquire::Languages \"none\"", "--dpkgopt=force-unsafe-io", suite, part,
                         *(work / name for name in apt_sources()), timeout=300)
            part.rename(archive)
        finally:
            shutil.rmtree(work)
    return archive


# A network as small as can be: the packages may well come from a documentation address too.
OUTER4, CLIENT4 = "192.0.2.1", "192.0.2.2"


class Wire(topology.Net):
    """The machine's network, and one client's."""

    def _build(self):
        self.server = self._namespace("s")
        self.outside = self._namespace("c0")
        self.server.ip("link", "add", "outer0", "type", "veth", "peer", "name", "eth0", "netns", self.outside.name)
        for ns, device, address in ((self.server, "outer0", OUTER4), (self.outside, "eth0", CLIENT4)):
            topology.add_address(ns, device, f"{address}/30")
            ns.ip("link", "set", device, "addrgenmode", "none", "up")  # no address of its own, later


class Machine:
    """Use as a context manager. Everything in it ends with it."""

    def __init__(self):
        self.first = None
        sweep()
        self.disk = CACHE / f"disk-{os.getpid()}"
        self.disk.mkdir(parents=True)
        self.net = None
        try:
            self._install()
            self.net = Wire()
            self._boot()
        except BaseException:
            self.remove()
            raise

    def _install(self):
        topology.run("tar", "--numeric-owner", "-C", self.disk, "-xf", image())
        etc = self.disk / "etc"
        shutil.rmtree(etc / "apt/sources.list.d", ignore_errors=True)
        (etc / "apt/sources.list").unlink(missing_ok=True)
        (etc / "apt/sources.list.d").mkdir()
        for name, text in apt_sources().items():
            (etc / ("apt" if name == "sources.list" else "apt/sources.list.d") / name).write_text(text)
        (etc / "apt/apt.conf.d/99here").write_text(apt_settings())
        for folder in KEYS:
            if os.path.isdir(folder):
                shutil.copytree(folder, str(self.disk) + folder, dirs_exist_ok=True)
        topology.run("chroot", self.disk, "update-ca-certificates")
        (etc / "resolv.conf").unlink(missing_ok=True)
        (etc / "resolv.conf").write_text("nameserver 10.0.2.3\n")  # slirp4netns asks this machine's resolver
        (etc / "hostname").write_text("machine\n")

    def _boot(self):
        self.unshare = self.net.server.popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", BOOT, self.disk],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        children = pathlib.Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children")

        def booted():
            if self.unshare.poll() is not None:
                raise AssertionError(f"the machine did not start: {self.unshare.stderr.read()}")
            first = children.read_text().split()
            # Not by name: seen from within a chroot, another mount namespace's paths begin elsewhere.
            if not first or not os.path.samefile(f"/proc/{first[0]}/root", self.disk):
                return None
            return int(first[0])
        self.first = until(booted, 10, "the machine starts")

    @contextlib.contextmanager
    def packages(self):
        """Within this block the machine reaches what apt reaches from here."""
        ns = self.net.server
        log = CACHE / "slirp4netns.log"
        ends, held = os.pipe()  # it ends when nobody holds the other end: with us, whatever happens
        with open(log, "w") as out:
            slirp = subprocess.Popen(["slirp4netns", "--configure", "--mtu=1500", "--disable-host-loopback",
                                      f"--exit-fd={ends}", "--netns-type=path", ns.path, "tap0"], pass_fds=[ends],
                                     stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        os.close(ends)
        try:
            until(lambda: slirp.poll() is not None or "default" in ns.ip("route"), 10, "a way to the packages")
            assert slirp.poll() is None, log.read_text()
            yield
        finally:
            os.close(held)
            slirp.wait(10)
            until(lambda: "tap0" not in ns.ip("link"), 5, "tap0 is gone")

    def prefix(self):
        """What to put before a command line so that it runs in here, as by root's login."""
        return ["nsenter", "-t", str(self.first), "--mount", "--pid", "--net", "--root", "--wd", "env", "-i", *ENVIRONMENT]

    def shell(self, command, cwd="/root", seconds=60, env=()):
        """One line typed into a shell: (exit status, standard output, standard error)."""
        line = f'cd {cwd} || exit 125; {command}'
        done = subprocess.run([*self.prefix(), *env, "sh", "-c", line], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace", timeout=seconds)
        return done.returncode, done.stdout, done.stderr

    def path(self, inside):
        """A file of the machine, seen from here; also what is mounted there."""
        return pathlib.Path(f"/proc/{self.first}/root{inside}")

    def remove(self):
        if self.net is not None:
            self.net.remove()  # kills what runs in it, and the mounts go with that
        if self.first is not None:
            self.unshare.wait(10)
        shutil.rmtree(self.disk)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


def sweep():
    """Removes disks of runs that were killed."""
    for disk in CACHE.glob("disk-*"):
        if not os.path.exists(f"/proc/{disk.name.split('-')[1]}"):
            shutil.rmtree(disk)
