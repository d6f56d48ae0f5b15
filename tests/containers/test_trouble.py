"""The ground goes away under containers: clear words, no lie, and back by itself where that can be. Goes on where
test_story ended; then a second installation, and volumes of other versions."""
import base64
import hashlib
import itertools
import json
import os
import pathlib
import re
import shutil
import sqlite3
import time

from engine import ROOT
from poll import until
from story import CONTROL, DATA

MIGRATIONS = sorted((ROOT / "db/migrations").glob("*.sql"))
OLD = 3  # a schema that was released once
SMALL = """
services: {}
volumes:
  data: {driver_opts: {type: tmpfs, device: tmpfs, o: "size=8m,uid=6202,gid=6201,mode=0700"}}
"""
_names = itertools.count()


def inside(story, path, name=CONTROL):
    """A file of a running container, as root of this machine sees it."""
    return pathlib.Path(f"/proc/{story.engine.pid(name)}/root{path}")


def write(admin):
    return admin.request("POST", "/v1/users", {"name": f"somebody{next(_names)}"})


def ready(rest):
    answer = rest.request("GET", "/readyz")
    return answer.status, answer.body.decode()


def refused_with(story, admin, word):
    """A write is refused and changes nothing, and everybody who asks is told."""
    users = len(admin.all("/v1/users"))
    answer = write(admin)
    assert answer.status == 507 and word in answer.json["detail"], answer
    assert len(admin.all("/v1/users")) == users
    until(lambda: ready(admin)[0] == 503, 10, "/readyz says no")
    assert word in ready(admin)[1]
    until(lambda: story.engine.health(CONTROL) == "unhealthy", 20, "the container is unhealthy")
    assert word in story.engine.last_check(CONTROL)


def test_database_deleted(story):
    """As by `rm -r` of the data volume: nothing is acknowledged that would be gone, tunnels go on, and the engine does not let go
    of a volume that is in use."""
    admin = story.admin()
    status, why = story.engine.docker("volume", "rm", "ireko_data", check=False)
    assert status != 0 and "in use" in why
    story.keys = secrets_of(story)
    folder = inside(story, "/var/lib/ireko")
    for file in folder.iterdir():
        file.unlink()
    refused_with(story, admin, "delete")
    assert story.laptop.ping("198.51.100.2", count=3)
    # With a new volume all of it is new.
    story.compose("down", "--volumes")


def test_second_installation_shares_no_secret(story, figure):
    (story.dir / "small.yaml").write_text(SMALL)
    began = time.monotonic()
    story.compose("-f", story.dir / "small.yaml", "up", "--detach", "--wait")
    figure("second installation: up --wait", f"{time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < 30
    first, second = story.keys, secrets_of(story)
    assert set(first) == set(second) and len(first) >= 5
    for name, secret in first.items():
        for other in second.values():
            for at in range(0, len(secret) - 16):
                assert secret[at:at + 16] not in other, name


def secrets_of(story):
    """{name: bytes} of everything that only this installation may have. Rows of the database that begin or end alike (what a
    seal looks like, names in a certificate) are taken without that."""
    folder = inside(story, "/var/lib/ireko")
    found = {"password": (folder / "admin-password").read_bytes().strip(), "master key": (folder / "master.key").read_bytes()}
    copy = story.dir / "copy"
    copy.mkdir()
    for file in folder.glob("ireko.db*"):
        shutil.copy(file, copy)
    db = sqlite3.connect(copy / "ireko.db")
    for key, blob in db.execute("SELECT key, bin FROM meta WHERE bin IS NOT NULL"):
        if len(blob) >= 32 and b"Ireko" not in blob:
            found[key] = blob
    found["password's hash"] = db.execute("SELECT password FROM users WHERE name = 'admin'").fetchone()[0].split("$")[-1].encode()
    found["tls"] = re.sub(rb"\s", b"", (folder / "api-ca.pem").read_bytes())[-90:-30]
    db.close()
    shutil.rmtree(copy)
    return found


def test_disk_full(story):
    admin = story.admin()
    assert write(admin).status == 201
    filler = inside(story, "/var/lib/ireko/filler")
    with open(filler, "wb", buffering=0) as f:
        size = 1 << 16
        while size:
            try:
                f.write(b"x" * size)
            except OSError:
                size //= 2
    refused_with(story, admin, "full")
    filler.unlink()
    until(lambda: write(admin).status == 201, 10, "writes are taken again")
    until(lambda: story.healthy(), 20, "healthy again, by itself")


def test_socket_volume_emptied(story):
    """The door is gone: the dataplane says so, and it is there again without anybody's help."""
    began = story.engine.inspect(DATA)["RestartCount"]
    inside(story, "/run/ireko/dataplane.sock", DATA).unlink()
    story.compose("restart", "controlplane")
    until(lambda: story.healthy() and inside(story, "/run/ireko/dataplane.sock", DATA).exists(), 30, "both are well again")
    assert story.engine.inspect(DATA)["RestartCount"] > began
    assert "dataplane.sock" in story.logs(DATA)
    assert write(story.admin()).status == 201


def test_control_plane_may_start_first(story):
    """Compose starts the dataplane first. The volume of the socket has the right owner and mode the other way round, too."""
    story.compose("down", "--volumes")
    story.compose("up", "--detach", "--no-deps", "controlplane")
    until(lambda: "dataplane" in story.engine.last_check(CONTROL), 15, "the health check names what is missing")
    assert story.engine.health(CONTROL) != "healthy"
    story.compose("up", "--detach", "--no-deps", "dataplane")
    until(lambda: story.healthy(), 20, "both are well")
    run = inside(story, "/run/ireko", DATA).stat()
    assert (run.st_uid, run.st_gid, run.st_mode & 0o7777) == (6201, 6201, 0o750)
    story.compose("down", "--volumes")


# ---- volumes of other versions ----

def old_volume(story, name):
    """A data volume as an earlier version left it, with one user in it: (folder, a token of hers)."""
    token = "ireko_" + base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    story.engine.docker("volume", "create", name)
    folder = story.engine.volume(name)
    db = sqlite3.connect(folder / "ireko.db")
    for file in MIGRATIONS[:OLD]:
        db.executescript(file.read_text())
    db.execute(f"PRAGMA user_version = {OLD}")
    carol, then = os.urandom(16), 1_700_000_000_000
    db.execute("INSERT INTO users (id, name, name_key, display_name, email, role, password, disabled, created_at, updated_at, revision) "
               "VALUES (?, 'carol', 'carol', '', '', 3, NULL, 0, ?, ?, 1)", (carol, then, then))
    db.execute("INSERT INTO tokens (id, user_id, name, role, sha256, created_at, expires_at, last_used_at) VALUES (?, ?, 't', 3, ?, ?, 0, 0)",
               (os.urandom(16), carol, hashlib.sha256(token.encode()).digest(), then))
    db.commit()
    db.close()
    (folder / "master.key").write_bytes(os.urandom(32))
    for path in (folder, *folder.iterdir()):
        os.chown(path, 6202, 6201)
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder, token


def start_alone(story, name, volume):
    story.engine.docker("run", "--detach", "--name", name, "--read-only", "--cap-drop", "ALL", "--volume", f"{volume}:/var/lib/ireko",
                        "--env", "IREKO_ENDPOINT=vpn.example.net", "--env", "IREKO_CACERT=/var/lib/ireko/api-ca.pem",
                        "ireko-controlplane")


def test_upgrade_and_downgrade(story):
    """A new image over an old volume migrates it; an old image over a newer database refuses, and changes nothing."""
    docker = story.engine.docker
    volume, name = "ireko-test-old", "ireko-test-old"
    folder, token = old_volume(story, volume)
    try:
        start_alone(story, name, volume)
        until(lambda: "ready on" in story.logs(name), 15, "it serves")
        users = json.loads(docker("exec", "--env", f"IREKO_TOKEN={token}", name, "ireko", "user", "list", "--json"))
        assert [u["name"] for u in users["items"]] == ["carol"]
        docker("rm", "--force", name)
        db = sqlite3.connect(folder / "ireko.db")
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        db.commit()
        db.close()
        before = {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "ireko.lock"}
        start_alone(story, name, volume)
        until(lambda: not story.engine.pid(name), 15, "it has ended")
        assert story.engine.inspect(name)["State"]["ExitCode"] == 1
        [line] = story.logs(name).strip().splitlines()
        assert "newer version" in line and str(len(MIGRATIONS) + 1) in line
        assert {p.name: p.read_bytes() for p in folder.iterdir() if p.name in before} == before
    finally:
        docker("rm", "--force", name, check=False)
        docker("volume", "rm", volume, check=False)


def test_profiles(story):
    """The proxy and what watches: their files are there, and compose takes them."""
    told = json.loads(story.compose("--profile", "proxy", "--profile", "metrics", "config", "--format", "json"))
    assert set(told["services"]) == {"controlplane", "dataplane", "proxy", "prometheus", "grafana"}
    for name, service in told["services"].items():
        for mount in service.get("volumes", []):
            made = pathlib.Path(mount["source"]).name in ("token", "api-ca.pem")  # by whoever wants it
            assert mount["type"] != "bind" or made or pathlib.Path(mount["source"]).exists(), f"{name}: {mount['source']}"
    assert json.loads(story.compose("config", "--format", "json"))["services"].keys() == {"controlplane", "dataplane"}


def test_endpoint_must_be_named(story):
    status, why = story.compose("config", check=False, env={"IREKO_ENDPOINT": ""})
    assert status != 0 and "the host name or address that clients connect to" in why
