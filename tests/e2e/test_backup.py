"""A backup while others write, and its way back: what is refused changes nothing."""
import base64
import hashlib
import os
import re
import socket
import sqlite3
import subprocess
import threading

import pytest

from poll import until


def digest_of(answer):
    found = re.fullmatch(r"sha-256=:(.+):", answer.headers["Repr-Digest"])
    return base64.b64decode(found[1])


def backup(g):
    a = g.request("GET", "/v1/backup")
    assert a.status == 200, a
    assert digest_of(a) == hashlib.sha256(a.body).digest()
    return a


def opened(path, data):
    path.write_bytes(data)
    return sqlite3.connect(path)


def restore(g, file):
    """Runs --restore as the control plane's user. Returns exit status, stdout, stderr."""
    done = subprocess.run([*g.controlplane.argv, "--restore", str(file)], env=g.controlplane.env, cwd="/",
                          capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


def picture(folder):
    """Every file in it and what it holds, but for the lock and the shared index."""
    return {f.relative_to(folder): f.read_bytes() for f in sorted(folder.rglob("*"))
            if f.is_file() and f.name not in ("ireko.lock", "ireko.db-shm")}


@pytest.fixture(scope="module")
def g(module_gateway):
    return module_gateway()


@pytest.fixture
def folder(tmp_path):
    """A folder that the control plane's user may pass through."""
    for path in (tmp_path, *tmp_path.parents):
        if str(path).startswith("/tmp/") and path.owner() == "root":
            path.chmod(path.stat().st_mode | 0o011)
    return tmp_path


def test_backup_under_writers(g, tmp_path):
    done, stop, lock = [], threading.Event(), threading.Lock()

    def write(k):
        n = 0
        while not stop.is_set():
            name = f"w{k}-{n}"
            g.api.post("/v1/users", {"name": name})
            with lock:
                done.append(name)
            n += 1

    writers = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for w in writers:
        w.start()
    try:
        for i in range(5):
            until(lambda: len(done) > 10 * i, 10, "writes")
            with lock:
                before = set(done)
            a = backup(g)
            with lock:
                after = len(done)
            db = opened(tmp_path / f"{i}.db", a.body)
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            names = {n for n, in db.execute("SELECT name FROM users")}
            assert before <= names, before - names
            assert after >= len(before)
            db.close()
    finally:
        stop.set()
        for w in writers:
            w.join()
    assert {u["name"] for u in g.api.all("/v1/users")} >= set(done)


def test_answer_is_one_whole_file_without_traces(g):
    a = backup(g)
    assert a.headers["Content-Type"] == "application/vnd.sqlite3"
    assert int(a.headers["Content-Length"]) == len(a.body)
    assert re.fullmatch(r'attachment; filename="ireko-\d{8}T\d{6}Z\.db"', a.headers["Content-Disposition"])
    assert a.body[18:20] == b"\x01\x01", "not in WAL mode: one file is all of it"
    assert (g.data_dir / "master.key").read_bytes() not in a.body
    assert not list(g.data_dir.glob("*backup*"))


def test_only_an_admin(g):
    assert g.anonymous.request("GET", "/v1/backup").status == 401
    for role in ("operator", "auditor"):
        token = g.api.post("/v1/tokens", {"name": role, "role": role})["token"]
        assert g.anonymous.bearer(token).request("GET", "/v1/backup").status == 403


def test_restore(g, folder):
    user, device, issued = g.provision("kept")
    g.api.patch(f"/v1/users/{user['id']}", {"password": "the password at first"})
    _, _, revoked = g.provision("back-again")
    token = g.api.post("/v1/tokens", {"name": "backup"})
    invite = g.api.post(f"/v1/devices/{device['id']}/invites", {"protocol": "wireguard"})
    a = backup(g)
    file = folder / "backup.db"
    file.write_bytes(a.body)
    file.chmod(0o644)
    g.api.delete(f"/v1/credentials/{revoked['id']}")
    g.api.delete(f"/v1/tokens/{token['id']}")
    g.api.delete(f"/v1/invites/{invite['id']}")
    g.api.patch(f"/v1/users/{user['id']}", {"password": "a new one, as the old one was known"})
    late = g.user("too-late")

    code, out, line = restore(g, file)
    assert code == 1 and "--restore" in line and "runs" in line and line.count("\n") == 1
    assert not g.api.get("/v1/audit?action=backup.restore")["items"], "one that failed leaves nothing"
    g.controlplane.stop()
    code, out, line = restore(g, file)
    assert code == 0 and line == "", line
    assert revoked["id"] in out and token["id"] in out and invite["id"] in out and "before-restore" in out
    assert issued["id"] not in out and re.search(f"password +{user['id']}", out)
    for name in ("ireko.db", "ireko.db.before-restore"):
        assert (g.data_dir / name).stat().st_mode & 0o777 == 0o600
    assert not (g.data_dir / "ireko.restore").exists()
    g.controlplane.start()
    g.wait_ready()

    assert g.api.request("GET", f"/v1/users/{late['id']}").status == 404
    assert g.api.get("/v1/audit/verify")["ok"] is True
    rows = g.api.get("/v1/audit")["items"]
    row = rows[0]
    assert row["action"] == "backup.restore" and row["outcome"] == "ok", rows[:3]
    assert row["actor"] is row["object"] is row["from"] is None
    assert hashlib.sha256(a.body).hexdigest() in row["detail"] and rows[1]["at"] in row["detail"]
    assert rows[1]["action"] == "backup.make" and rows[1]["sequence"] == row["sequence"] - 1
    assert g.api.get(f"/v1/devices/{device['id']}")["user_id"] == user["id"]
    assert g.anonymous.bearer(token["token"]).request("GET", "/v1/me").status == 200
    before = sqlite3.connect(f"file:{g.data_dir}/ireko.db.before-restore?mode=ro", uri=True)
    assert before.execute("SELECT count(*) FROM users WHERE name = 'too-late'").fetchone() == (1,)
    before.close()


def test_restore_by_root(g, folder):
    """Of a file that only root reads; what is made belongs to the service's user."""
    file = folder / "backup.db"
    file.write_bytes(backup(g).body)
    file.chmod(0o600)
    g.controlplane.stop()
    done = subprocess.run([g.controlplane.program, "--restore", file], env=g.controlplane.env, cwd="/", capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == 0 and done.stderr == "", done
    assert {f.owner() for f in g.data_dir.iterdir()} == {"ireko-control"}
    g.controlplane.start()
    g.wait_ready()


def test_killed_at_any_moment(g, folder, rng, figure):
    """What is there afterwards is the database before or the restored one, whole; and a start takes it."""
    file, seen = folder / "backup.db", []
    file.write_bytes(backup(g).body)
    file.chmod(0o644)
    g.user("behind-the-backup")
    g.controlplane.stop()
    at = g.data_dir / "ireko.db"
    before = at.read_bytes()
    try:
        for _ in range(25):
            at.write_bytes(before)
            for tail in ("-wal", "-shm"):
                at.with_name(at.name + tail).unlink(missing_ok=True)
            p = subprocess.Popen([*g.controlplane.argv, "--restore", file], env=g.controlplane.env, cwd="/",
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                assert p.wait(rng.uniform(0.005, 0.08)) == 0
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait(5)
            db = opened(folder / "look.db", at.read_bytes())
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            seen.append(db.execute("SELECT count(*) FROM users WHERE name = 'behind-the-backup'").fetchone()[0])
            db.close()
            # The database before may still have its own: it is opened once more before it goes. An empty one
            # belongs to nobody: the new one may just have been looked at.
            log = at.with_name("ireko.db-wal")
            assert seen[-1] == 1 or not log.exists() or log.stat().st_size == 0, "no log that belongs to another file"
    finally:
        g.controlplane.start()
        g.wait_ready()
    assert set(seen) <= {0, 1}
    figure("restores killed", f"{seen.count(1)} left the database before, {seen.count(0)} the restored one")


def flip(data):
    at = 4096 * 2
    return data[:at] + bytes(b ^ 0xff for b in data[at:at + 200]) + data[at + 200:]


def with_sql(path, data, *lines):
    db = opened(path, data)
    for line in lines:
        db.execute(line)
    db.commit()
    db.close()
    return path.read_bytes()


def test_refusals_change_nothing(g, folder):
    good = backup(g).body
    file, work = folder / "hostile.db", folder / "work.db"
    bad = {
        "empty": (b"", "no database"),
        "random": (os.urandom(100_000), "no database"),
        "truncated": (good[:len(good) // 2], "cut off"),
        "one byte short": (good[:-1], "cut off"),
        "flipped": (flip(good), "damaged"),
        "newer": (with_sql(work, good, "PRAGMA user_version = 9999"), "newer"),
        "other database": (with_sql(work, good, "PRAGMA user_version = 0"), "Ireko"),
        "a table more": (with_sql(work, good, "CREATE TABLE evil (x)"), "not ours"),
        "a trigger": (with_sql(work, good, "CREATE TRIGGER t AFTER INSERT ON users BEGIN DELETE FROM users; END"), "not ours"),
        "a table less": (with_sql(work, good, "DROP TABLE logins"), "not ours"),
        "no keys": (with_sql(work, good, "DELETE FROM meta WHERE key = 'wg_key'"), "key"),
        "foreign keys": (with_sql(work, good, "PRAGMA foreign_keys = OFF",
                                  "UPDATE devices SET user_id = zeroblob(16)"), "damaged"),
    }
    g.controlplane.stop()
    try:
        was = picture(g.data_dir)
        for name, (data, word) in bad.items():
            file.write_bytes(data)
            code, out, line = restore(g, file)
            assert code == 1 and out == "" and line.count("\n") == 1, (name, code, out, line)
            assert line.startswith("ireko-controlplane: --restore: ") and word in line, (name, line)
            assert picture(g.data_dir) == was, name
        os.mkfifo(folder / "fifo")
        for path in (folder / "fifo", folder, folder / "none"):
            code, out, line = restore(g, path)
            assert code == 1 and out == "" and line.count("\n") == 1 and "--restore" in line
            assert picture(g.data_dir) == was
        key = g.data_dir / "master.key"
        own = key.read_bytes()
        file.write_bytes(good)
        key.write_bytes(os.urandom(32))
        code, out, line = restore(g, file)
        assert code == 1 and "master key" in line and line.count("\n") == 1
        key.write_bytes(own)
        assert picture(g.data_dir) == was
    finally:
        g.controlplane.start()
        g.wait_ready()


def test_a_killed_restore_is_cleared_away(g):
    stage = g.data_dir / "ireko.restore"
    g.controlplane.stop()
    stage.mkdir()
    (stage / "ireko.db").write_bytes(b"half")
    (g.data_dir / "ireko.db.backup").write_bytes(b"half")
    for path in (stage, stage / "ireko.db", g.data_dir / "ireko.db.backup"):
        os.chown(path, g.data_dir.stat().st_uid, -1)
    g.controlplane.start()
    g.wait_ready()
    assert not stage.exists() and not (g.data_dir / "ireko.db.backup").exists()


def test_one_at_a_time(g):
    """Whoever does not read keeps the others waiting, not the service; when he goes, they get theirs."""
    g.controlplane.stop()
    db = sqlite3.connect(g.data_dir / "ireko.db")
    db.execute("INSERT INTO meta (key, bin) VALUES ('bulk', zeroblob(24000000))")  # more than sockets' buffers hold
    db.commit()
    db.close()
    g.controlplane.start()
    g.wait_ready()
    s = g.ns.socket(kind=socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.settimeout(5)
    s.connect(("127.0.0.1", g.http_port))
    with s:
        s.sendall(f"GET /v1/backup HTTP/1.1\r\nHost: a\r\nAuthorization: {g.api.auth['Authorization']}\r\n\r\n".encode())
        assert s.recv(64).startswith(b"HTTP/1.1 200")
        a = g.request("GET", "/v1/backup")
        assert a.status == 429 and int(a.headers["Retry-After"]) > 0
        assert g.request("GET", "/v1/me").status == 200
    until(lambda: g.request("GET", "/v1/backup").status == 200, 5, "a backup after the other one's end")
