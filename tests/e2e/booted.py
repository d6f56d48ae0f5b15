"""A machine that has been booted: systemd as its first process, this machine's files under a layer of its own (what
is written there is gone afterwards), its own processes, network, names and control groups."""
import os
import pathlib
import shutil
import signal
import subprocess

import topology
from poll import until

# In the first namespace of mounts: a control group of its own, which is then the root of what is seen inside.
GROUP = """
mkdir -p "$0/cgroup"
mount -t cgroup2 cgroup2 "$0/cgroup"
mkdir "$0/cgroup/$1"
echo $$ >"$0/cgroup/$1/cgroup.procs"
exec unshare -pCnuif --kill-child sh -ec "$2" "$0"
"""
BOOT = """
mount -t tmpfs tmpfs "$0"
cd "$0"
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
cd root
rm -f etc/fstab etc/systemd/system/*.wants/* etc/systemd/system/*.service usr/sbin/policy-rc.d
: >etc/machine-id
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir dev/net dev/pts dev/shm
for node in null zero full random urandom tty; do
    touch dev/$node
    mount --bind /dev/$node dev/$node
done
mknod -m 666 dev/net/tun c 10 200
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t cgroup2 cgroup2 sys/fs/cgroup
ip link set lo up
pivot_root . mnt  # not chroot, under which nobody may make a namespace of users
cd /
umount -l mnt
exec env -i container=ireko PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=multi-user.target
"""


class Booted:
    def __init__(self):
        self.dir = topology.temporary() / "booted"
        self.dir.mkdir()
        self.group = f"ireko-e2e-{os.getpid()}"
        self.log = open(self.dir.parent / "booted.log", "wb")
        self.process = subprocess.Popen(["unshare", "-m", "sh", "-ec", GROUP, self.dir, self.group, BOOT],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.first = None
        try:
            self.first = until(self._first, 20, "the first process")
            until(lambda: self.run("systemctl", "is-system-running").out.strip() in ("running", "degraded"), 30, "it has booted",
                  every=0.1)
        except BaseException:
            self.remove()
            raise

    def _first(self):
        """systemd, once it is that."""
        assert self.process.poll() is None, pathlib.Path(self.log.name).read_text()
        for child in pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
        return None

    def run(self, *argv, env=None, stdin=""):
        """In there, as root: an object with status, out, err."""
        argv = ["nsenter", "-t", self.first, "-a", "-r", "-w/", "env", "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", *(f"{k}={v}" for k, v in (env or {}).items()), *argv]
        done = subprocess.run([str(a) for a in argv], input=stdin, capture_output=True, text=True, timeout=120)
        done.status, done.out, done.err = done.returncode, done.stdout, done.stderr
        return done

    def __call__(self, *argv, **kw):
        """It must end well. Returns its output."""
        done = self.run(*argv, **kw)
        assert done.status == 0, (argv, done.status, done.out, done.err)
        return done.out

    def path(self, path):
        return pathlib.Path(f"/proc/{self.first}/root{path}")

    def remove(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        self.log.close()
        if self.first:
            until(lambda: not pathlib.Path(f"/proc/{self.first}").exists(), 10, "its processes are gone")
        remove = 'mount -t cgroup2 cgroup2 "$0" && find "$0/$1" -depth -type d -exec rmdir {} \\;'
        until(lambda: subprocess.run(["unshare", "-m", "sh", "-c", remove, self.dir, self.group],
                                     capture_output=True).returncode == 0, 10, "its control group is gone", every=0.1)
        shutil.rmtree(self.dir)
