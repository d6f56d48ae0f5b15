"""The ground goes: a full disk, a file system that turns read-only, files of the database and the folder of the
socket that somebody deletes. Nothing is said to be done that is not, tunnels go on, and so does the rest when
the ground is back."""
import os
import re
import shutil
import sqlite3
import subprocess
import time

import pytest

import fixtures
import topology
from poll import until


def readyz(g):
    answer = g.anonymous.request("GET", "/readyz")
    return answer.status, answer.json.get("detail", "")


def not_ready(g, word):
    until(lambda: readyz(g)[0] == 503 and word in readyz(g)[1], 5, f"readyz says {word}", every=0.1)
    done = subprocess.run([*g.ns.prefix(), g.controlplane.program, "--healthcheck"], env=g.controlplane.env,
                          capture_output=True, text=True, timeout=10)
    assert done.returncode == 1 and word in done.stderr, done.stderr


def writes(g, device, credential):
    """Of every kind that an operator needs: (method, path, body)."""
    user = device["user_id"]
    return [
        ("POST", "/v1/users", {"name": "late"}),
        ("PATCH", f"/v1/users/{user}", {"display_name": "x"}),
        ("DELETE", f"/v1/users/{user}", None),
        ("POST", "/v1/devices", {"user_id": user, "name": "late"}),
        ("PATCH", f"/v1/devices/{device['id']}", {"enabled": False}),
        ("DELETE", f"/v1/devices/{device['id']}", None),
        ("POST", f"/v1/devices/{device['id']}/credentials", {"protocol": "wireguard"}),
        ("POST", f"/v1/devices/{device['id']}/credentials", {"protocol": "openvpn"}),
        ("DELETE", f"/v1/credentials/{credential['id']}", None),
        ("POST", f"/v1/devices/{device['id']}/invites", {"protocol": "wireguard"}),
        ("POST", "/v1/tokens", {"name": "late"}),
        ("PATCH", "/v1/settings", {"mtu": 1300}),
        ("POST", "/v1/login", {"username": "admin", "password": g.admin_password}),
        ("GET", "/v1/backup", None),
    ]


def issue(g, device):
    """With a key: the first time a credential is made, from then on its profile is told again."""
    return g.api.request("POST", f"/v1/devices/{device['id']}/credentials", {"protocol": "wireguard"}, {"Idempotency-Key": "issue"})


def all_refused(g, device, credential, word):
    """What issue() has made before is known, but goes out with a row in the audit log only."""
    before = g.api.get("/v1/users"), g.api.get("/v1/devices/" + device["id"])["credentials"], g.api.get("/v1/settings")
    for method, path, body in writes(g, device, credential):
        caller = g.anonymous if path == "/v1/login" else g
        answer = caller.request(method, path, body)
        assert answer.status == 507, (method, path, answer.status, answer.body)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["status"] == 507 and word in answer.json["detail"], answer.json
    name = re.sub(r"\W", "-", word)
    answer = g.api.request("POST", "/v1/users", {"name": name}, {"Idempotency-Key": name})
    assert answer.status == 507 and "Location" not in answer.headers
    answer = issue(g, device)
    assert answer.status == 507 and b"PrivateKey" not in answer.body and "Location" not in answer.headers, answer
    assert before == (g.api.get("/v1/users"), g.api.get("/v1/devices/" + device["id"])["credentials"],
                      g.api.get("/v1/settings")), "a refused write has changed something"


def nothing_lost(stream):
    for direction in stream.wait_flowing(packets=20).stop():
        assert direction.sent > 100 and direction.lost == 0, direction


class Disk:
    """A small ext4 of its own, in a file, for the data folder."""

    def __init__(self, folder):
        self.folder, self.image = folder, folder.parent / "disk.img"
        with open(self.image, "wb") as f:
            f.truncate(16 << 20)
        owner = folder.stat()
        topology.run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-m", "0", self.image)
        topology.run("mount", "-o", "loop,errors=remount-ro", self.image, folder)
        shutil.rmtree(folder / "lost+found")
        os.chown(folder, owner.st_uid, owner.st_gid)
        folder.chmod(0o700)

    def fill(self):
        with open(self.folder / "filler", "wb", buffering=0) as f:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        f.write(b"x" * size)
                except OSError:
                    pass

    def free(self):
        (self.folder / "filler").unlink()

    def fail(self):
        """The kernel finds an error on it, and lets nobody write any more."""
        device = topology.run("findmnt", "-no", "SOURCE", self.folder).strip().removeprefix("/dev/")
        with open(f"/sys/fs/ext4/{device}/trigger_fs_error", "w") as f:
            f.write("a test")

    def remove(self):
        topology.run("umount", "-l", self.folder)


@pytest.fixture
def on_a_disk():
    """A gateway whose data folder is a disk of its own."""
    g = fixtures.Gateway()
    g.disk = g.own(Disk(g.data_dir))
    yield g.start()
    g.close(orderly=g.controlplane.alive())


def test_full_disk_then_read_only(on_a_disk):
    g = on_a_disk
    _, device, issued = g.provision("laptop")
    first = issue(g, device)
    tunnel = g.client(issued)
    stream = g.stream(tunnel, rate=200)
    g.disk.fill()
    not_ready(g, "full")
    all_refused(g, device, issued, "disk is full")
    assert tunnel.ping(topology.INTERNET4)
    g.disk.free()
    start = time.monotonic()
    until(lambda: readyz(g)[0] == 200, 5, "ready again", every=0.1)
    assert g.api.post("/v1/users", {"name": "afterwards"})["name"] == "afterwards"
    # The repeat of what was refused is no repeat.
    assert g.api.request("POST", "/v1/users", {"name": "disk-is-full"}, {"Idempotency-Key": "disk-is-full"}).status == 201
    assert issue(g, device).body == first.body and b"PrivateKey" in first.body
    assert time.monotonic() - start < 5

    g.disk.fail()
    all_refused(g, device, issued, "can't be written")  # and so it is known
    not_ready(g, "read-only")
    assert tunnel.ping(topology.INTERNET4)
    nothing_lost(stream)
    g.controlplane.kill()


def test_deleted_database(gateway):
    g = gateway()
    _, device, issued = g.provision("laptop")
    first = issue(g, device)
    tunnel = g.client(issued)
    stream = g.stream(tunnel, rate=200)
    aside = g.dir / "aside"
    shutil.move(g.data_dir, aside)  # the same files under another name: nothing stands where it stood
    not_ready(g, "deleted")
    all_refused(g, device, issued, "deleted")
    assert not g.data_dir.exists(), "nothing is made anew in the place of what was lost"
    shutil.move(aside, g.data_dir)
    until(lambda: readyz(g)[0] == 200, 5, "ready again", every=0.1)
    assert g.api.post("/v1/users", {"name": "afterwards"}) and issue(g, device).body == first.body

    for f in g.data_dir.glob("ireko.db*"):
        f.unlink()
    not_ready(g, "deleted")
    all_refused(g, device, issued, "deleted")
    until(lambda: re.search("error service: storage: .*deleted or replaced", g.controlplane.text()), 5, "it is logged")
    g.controlplane.stop()
    assert tunnel.ping(topology.INTERNET4)
    nothing_lost(stream)


def stored_up(g):
    with sqlite3.connect(f"file:{g.data_dir}/ireko.db?mode=ro", uri=True) as db:
        return [name for name, in db.execute("SELECT name FROM device_state JOIN devices ON devices.id = device_id WHERE was_up")]


def test_deleted_socket_folder(gateway):
    """The dataplane goes on while its control plane is connected, says that it is not well, and ends when nobody
    can come in any more: started anew it makes the folder again."""
    g = gateway()
    _, device, issued = g.provision("laptop")
    tunnel = g.client(issued)

    def check():
        done = subprocess.run([*g.ns.prefix(), g.dataplane.program, "--healthcheck"], env=g.dataplane.env,
                              capture_output=True, text=True, timeout=10)
        return done.returncode, done.stderr

    mode = g.run_dir.stat()
    shutil.rmtree(g.run_dir)
    assert check()[0] == 1 and "dataplane.sock" in check()[1]
    until(lambda: "was removed or replaced" in g.dataplane.text(), 5, "it is noticed")
    assert tunnel.ping(topology.INTERNET4) and readyz(g)[0] == 200
    assert g.api.request("DELETE", f"/v1/credentials/{issued['id']}").status == 204
    _, device, issued = g.provision("tablet")
    tunnel = g.client(issued)

    until(lambda: stored_up(g) == ["tablet"], 5, "that it is connected, and the other one no more, has been written down")
    g.controlplane.kill()
    until(lambda: not g.dataplane.alive(), 5, "it ends")
    assert g.dataplane.process.returncode == 1
    assert re.search(r"error main: stopping: no control plane is connected, and none can", g.dataplane.text())
    assert "ireko0" not in g.ns.run("nft", "list", "tables")
    g.dataplane.start()
    g.controlplane.start()
    g.wait_ready()
    assert g.run_dir.stat().st_uid == mode.st_uid and check()[0] == 0
    until(lambda: tunnel.ping(topology.INTERNET4), 10, "it is called back")
