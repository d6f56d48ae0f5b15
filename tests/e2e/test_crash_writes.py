"""kill -9 of the control plane at random moments under 20 parallel writers: no acknowledged write is lost,
no address is given twice."""
import http.client
import os
import random
import shutil
import sqlite3
import threading
import time

import noise
from rest import Rest

ROUNDS = int(os.environ.get("ROUNDS", 50))
WRITERS = 20
GONE = "gone"


class Writer:
    """Owns its objects, so that what they must be is known: the last acknowledged state, or that of the one
    write which was under way when the server died."""

    def __init__(self, number, g, seed):
        self.number, self.g, self.rng = number, g, random.Random(seed)
        self.api = Rest(g.ns, g.http_port, auth=g.api.auth, timeout=20)
        self.user = g.user(f"writer-{number}")
        self.objects = {}      # path -> acknowledged fields that must hold, or GONE
        self.touched = set()   # since the last verification
        self.doubtful = {}     # path -> what the unanswered write would have made of it
        self.acknowledged = self.serial = self.unanswered = 0
        self.running = None
        self.errors = []

    # One write: returns the answer, or None when the server died meanwhile.
    def write(self, method, path, body=None):
        try:
            a = self.api.request(method, path, body)
        except (OSError, http.client.HTTPException):
            self.unanswered += 1
            return None
        if a.status not in (200, 201, 204):
            self.errors.append(f"{method} {path}: {a}")
            return None
        self.acknowledged += 1
        return a

    def step(self):
        self.serial += 1
        name = f"w{self.number}-{self.serial}"
        devices = [p for p, f in self.objects.items() if p.startswith("/v1/devices/") and f is not GONE]
        kind = self.rng.choice(("device", "device", "user", "rename", "credential", "revoke", "delete"))
        if kind == "user":
            return self.create("/v1/users", {"name": name, "display_name": name * 3})
        if kind == "device" or not devices:
            return self.create("/v1/devices", {"user_id": self.user["id"], "name": name})
        path = self.rng.choice(devices)
        if kind == "rename":
            return self.change(path, "PATCH", {"name": name}, {"name": name})
        if kind == "delete":
            return self.change(path, "DELETE", None, GONE)
        have = self.objects[path].get("credentials", {})
        live = [c for c, revoked in have.items() if not revoked]
        if kind == "revoke" and live:
            c = self.rng.choice(live)
            return self.change(path, "DELETE", None, {"credentials": {**have, c: True}}, f"/v1/credentials/{c}")
        a = self.write("POST", f"{path}/credentials", {"protocol": "wireguard", "public_key": noise.new_key()[1]})
        self.touched.add(path)
        if a is not None:
            self.objects[path] = {**self.objects[path], "credentials": {**have, a.json["id"]: False}}
        return a is not None

    def create(self, collection, body):
        a = self.write("POST", collection, body)
        if a is None:
            return False
        made = a.json
        path = f"{collection}/{made['id']}"
        self.objects[path] = {k: made[k] for k in ("name", "address4", "address6") if k in made}
        self.touched.add(path)
        return True

    def change(self, path, method, body, to, where=None):
        new = to if to is GONE else {**self.objects[path], **to}
        self.touched.add(path)
        if self.write(method, where or path, body) is None:
            self.doubtful[path] = new
            return False
        self.objects[path] = new
        return True

    def run(self):
        while self.running.is_set() and not self.errors:
            if not self.step():
                break

    def round(self, running):
        """Writes until the server is dead, in a thread of its own."""
        self.running = running
        t = threading.Thread(target=self.run, daemon=True)
        t.start()
        return t

    def verify(self):
        """What was touched since the last time is as acknowledged."""
        for path in sorted(self.touched):
            a = self.api.request("GET", path)
            settled = self.matches(a, self.objects[path])
            if not settled and path in self.doubtful:
                settled = self.matches(a, self.doubtful[path])
                self.objects[path] = self.doubtful[path]
            if not settled:
                self.errors.append(f"{path}: {a}, acknowledged was {self.objects[path]}")
        self.touched.clear()
        self.doubtful.clear()

    @staticmethod
    def matches(answer, want):
        if want is GONE or answer.status != 200:
            return want is GONE and answer.status == 404
        got = answer.json
        revoked = {c["id"]: c["revoked_at"] is not None for c in got.get("credentials", [])}
        return all(revoked.get(c) == r for c, r in want.get("credentials", {}).items()) and \
            all(got[k] == v for k, v in want.items() if k != "credentials")


def parallel(functions):
    threads = [threading.Thread(target=f, daemon=True) for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
        assert not t.is_alive()


def check_database(g, where):
    """On a copy made while nobody has it open: SQLite itself finds nothing wrong."""
    where.mkdir(exist_ok=True)
    for f in g.data_dir.glob("ireko.db*"):
        shutil.copy(f, where)
    with sqlite3.connect(where / "ireko.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()
    shutil.rmtree(where)


def test_no_acknowledged_write_is_lost(gateway, rng, figure, tmp_path):
    g = gateway(env={"IREKO_LOG_LEVEL": "info"})
    writers = [Writer(i, g, rng.randrange(1 << 32)) for i in range(WRITERS)]
    ready, start = [], time.monotonic()
    for n in range(ROUNDS):
        running = threading.Event()
        running.set()
        threads = [w.round(running) for w in writers]
        time.sleep(rng.uniform(0.02, 0.8))  # the random moment is the point here
        g.controlplane.kill()
        running.clear()
        for t in threads:
            t.join(30)
            assert not t.is_alive()
        check_database(g, tmp_path / "copy")
        began = time.monotonic()
        g.controlplane.start()
        g.wait_healthy()
        ready.append(time.monotonic() - began)
        parallel([w.verify for w in writers])
        errors = [e for w in writers for e in w.errors]
        assert not errors, f"round {n + 1}: {len(errors)}: {errors[:3]}"
    acknowledged = sum(w.acknowledged for w in writers)
    figure("rounds", f"{ROUNDS} in {time.monotonic() - start:.0f} s, {acknowledged} acknowledged writes, "
                     f"{sum(w.unanswered for w in writers)} unanswered")
    figure("healthy again after", f"{sorted(ready)[len(ready) // 2]:.2f} s median, {max(ready):.2f} s at most")
    assert acknowledged > ROUNDS * WRITERS / 2
    # Everything ever acknowledged, once more and all together.
    devices, users = g.api.all("/v1/devices"), g.api.all("/v1/users")
    there = {f"/v1/devices/{d['id']}": d for d in devices} | {f"/v1/users/{u['id']}": u for u in users}
    for w in writers:
        for path, want in w.objects.items():
            got = there.get(path)
            assert (got is None) == (want is GONE), f"{path}: {got}, acknowledged was {want}"
            if got:
                assert all(got[k] == v for k, v in want.items() if k != "credentials"), f"{path}: {got} {want}"
    for field in ("address4", "address6"):
        given = [d[field] for d in devices]
        assert len(set(given)) == len(given), f"{field} given twice"
    g.wait_ready()
    g.stop()
    check_database(g, tmp_path / "copy")
    figure("at the end", f"{len(devices)} devices, {len(users)} users")
