"""The `ireko` command against a running service: what it prints, what it leaves in files, how it ends."""
import base64
import fcntl
import hashlib
import http.server
import json
import os
import pty
import re
import select
import sqlite3
import struct
import subprocess
import termios
import threading

import pytest

import daemons
import topology
from house import code
from poll import until

FINE, FAILED, USAGE, NOT_FOUND, NOT_ALLOWED, UNREACHABLE = range(6)
COMMAND = daemons.build_dir() / "bin/ireko"


class Cli:
    """The command as one user calls it, with a home and a folder of its own."""

    def __init__(self, g, home, token=None):
        self.g, self.home = g, home
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "IREKO_URL": f"http://127.0.0.1:{g.http_port}",
                    "TERM": "xterm", **daemons.SANITIZER}
        if token:
            self.env["IREKO_TOKEN"] = token

    def popen(self, *argv, **kw):
        kw = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **kw}
        return self.g.ns.popen([COMMAND, *argv], env=self.env, cwd=self.home, **kw)

    def run(self, *argv, stdin=None):
        """Exit status, stdout, stderr."""
        p = self.popen(*argv, stdin=subprocess.PIPE)
        out, err = p.communicate((stdin or "").encode(), timeout=20)
        return p.returncode, out.decode(), err.decode()

    def __call__(self, *argv, stdin=None):
        """It must end well. Returns stdout."""
        code, out, err = self.run(*argv, stdin=stdin)
        assert code == FINE, (argv, code, out, err)
        return out

    def json(self, *argv):
        return json.loads(self(*argv, "--json"))

    def on_terminal(self, *argv, columns=80, type_=None):
        """The same on a terminal of so many columns: exit status and all that it shows."""
        main, side = pty.openpty()
        os.set_blocking(main, False)
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        p = self.popen(*argv, stdin=side, stdout=side, stderr=side)
        os.close(side)
        seen, typed = b"", False
        try:
            while True:
                if select.select([main], [], [], 15)[0]:
                    try:
                        piece = os.read(main, 65536)
                    except OSError:
                        break
                    if not piece:
                        break
                    seen += piece
                if type_ and not typed and seen.rstrip().endswith((b"]", b":")):
                    os.write(main, type_.encode())
                    typed = True
            return p.wait(10), seen.decode()
        finally:
            os.close(main)
            if p.poll() is None:
                p.kill()


@pytest.fixture(scope="module")
def g(module_gateway):
    return module_gateway()


@pytest.fixture
def cli(g, tmp_path):
    return Cli(g, tmp_path, g.api.auth["Authorization"].split()[1])


def mode(path):
    return path.stat().st_mode & 0o777


# ---- coming and going ----

def test_login_and_logout(g, tmp_path):
    cli = Cli(g, tmp_path)
    code, _, err = cli.run("user", "list")
    assert code == NOT_ALLOWED and "login" in err
    code, out, err = cli.run("login", stdin="wrong password\n")
    assert code == NOT_ALLOWED and "wrong password" not in out + err
    out = cli("login", stdin=f"{g.admin_password}\n")
    token = tmp_path / ".config/ireko/token"
    assert mode(token) == 0o600 and token.read_text().strip() not in out
    assert cli("user", "list")
    text = token.read_text().strip()
    cli("logout")
    assert not token.exists()
    assert g.anonymous.bearer(text).request("GET", "/v1/me").status == 401
    assert cli.run("logout")[0] == NOT_ALLOWED


def test_login_with_the_password_of_a_file(g, tmp_path):
    cli = Cli(g, tmp_path)
    cli.env["IREKO_PASSWORD_FILE"] = str(tmp_path / "password")
    code, _, err = cli.run("login", stdin=f"{g.admin_password}\n")
    assert code == FAILED and "no password" in err, "it is told to take a file that is not there"
    for text in ("", "\n", "x" * 300):
        (tmp_path / "password").write_text(text)
        assert cli.run("login")[0] == FAILED
    (tmp_path / "password").write_text("wrong password\n")
    assert cli.run("login")[0] == NOT_ALLOWED
    (tmp_path / "password").write_text(f"{g.admin_password}\n")
    cli("login")
    assert cli("user", "list")
    cli("logout")


def test_a_command_logs_in_for_itself(g, tmp_path):
    """Without a token, with the password in a file: as admin, for as long as it takes, and nothing stays."""
    cli = Cli(g, tmp_path)
    cli.env["IREKO_PASSWORD_FILE"] = str(tmp_path / "password")
    code, _, err = cli.run("user", "list")
    assert code == NOT_ALLOWED and "IREKO_PASSWORD_FILE" in err
    (tmp_path / "password").write_text("wrong password\n")
    assert cli.run("user", "list")[0] == NOT_ALLOWED
    (tmp_path / "password").write_text(f"{g.admin_password}\n")
    tokens = len(g.api.all("/v1/tokens"))
    # Whose device it is has nothing to do with who logs in.
    cli("user", "add", "once")
    cli("device", "add", "tool", "--user", "once", "--output", "-")
    assert not (tmp_path / ".config").exists() and len(g.api.all("/v1/tokens")) == tokens
    done = [row["action"] for row in g.api.get("/v1/audit?limit=20")["items"]]
    assert done.count("logout") >= 2, done
    # A token that was named and can't be had does not make an admin of anybody.
    for name, value in (("IREKO_TOKEN_FILE", str(tmp_path / "none")), ("IREKO_TOKEN", "x" * 4000)):
        cli.env[name] = value
        code, _, err = cli.run("user", "list")
        assert code == NOT_ALLOWED and "no token" in err
        del cli.env[name]
    cli("user", "rm", "once", "--yes")


def test_the_token_is_in_no_command_line(g, cli):
    p = cli.popen("login", stdin=subprocess.PIPE)
    line = open(f"/proc/{p.pid}/cmdline", "rb").read()
    p.communicate(f"{g.admin_password}\n".encode(), timeout=20)
    assert p.returncode == FINE and b"ireko_" not in line and g.admin_password.encode() not in line


# ---- users and devices ----

def test_a_user_from_first_to_last(g, cli):
    cli("user", "add", "anna", "--role", "operator", "--email", "anna@example.net", "--password",
        stdin="a password of anna's\n")
    user = cli.json("user", "show", "anna")
    assert user["role"] == "operator" and user["email"] == "anna@example.net"
    assert g.anonymous.login("anna", "a password of anna's")
    assert user["id"] in cli("user", "list") and "anna@example.net" in cli("user", "show", user["id"])
    cli("user", "disable", "anna")
    assert cli.json("user", "show", "anna")["disabled"] is True
    cli("user", "enable", "anna")
    assert cli.json("user", "show", "anna")["disabled"] is False
    code, _, err = cli.run("user", "add", "anna")
    assert code == FAILED and "name" in err and err.count("\n") == 1
    cli("user", "rm", "anna", "--yes")
    assert cli.run("user", "show", "anna")[0] == NOT_FOUND
    assert cli.run("user", "show", user["id"])[0] == NOT_FOUND


def test_a_device_from_first_to_last(g, cli, tmp_path):
    cli("user", "add", "dora")
    out = cli("device", "add", "laptop", "--user", "dora", "--expires", "30d")
    profile = tmp_path / "laptop.conf"
    assert mode(profile) == 0o600 and "[Interface]" in profile.read_text() and "laptop.conf" in out
    device = cli.json("device", "show", "dora/laptop")
    assert device["expires_at"] and len(device["credentials"]) == 1
    # What is there already is never overwritten, and then nothing is made.
    profile.write_text("mine")
    code, _, err = cli.run("device", "add", "laptop", "--user", "dora")
    assert code == FAILED and "laptop.conf" in err and profile.read_text() == "mine"
    assert [d["name"] for d in cli.json("device", "list", "--user", "dora")["items"]] == ["laptop"]

    cli("credential", "issue", "dora/laptop", "--protocol", "openvpn")
    assert mode(tmp_path / "laptop.ovpn") == 0o600 and "<tls-crypt-v2>" in (tmp_path / "laptop.ovpn").read_text()
    code, _, err = cli.run("credential", "revoke", "dora/laptop")
    assert code == FAILED and "2 credentials" in err
    first, second = (c["id"] for c in cli.json("device", "show", "dora/laptop")["credentials"])
    cli("credential", "revoke", first)
    cli("credential", "revoke", "dora/laptop")
    assert all(c["revoked_at"] for c in cli.json("device", "show", "dora/laptop")["credentials"])
    assert cli.run("credential", "revoke", "dora/laptop")[0] == NOT_FOUND

    cli("device", "disable", "laptop")
    assert cli.json("device", "show", "laptop")["enabled"] is False
    cli("device", "enable", "laptop")
    cli("device", "rm", "laptop")
    assert cli.run("device", "show", "dora/laptop")[0] == NOT_FOUND


def test_own_keys(g, cli, tmp_path):
    cli("user", "add", "kim")
    user = cli.json("user", "show", "kim")["id"]
    g.device({"id": user}, "phone")
    key = subprocess.run("wg genkey | wg pubkey", shell=True, capture_output=True, text=True, check=True).stdout.strip()
    out = cli("credential", "issue", "kim/phone", "--public-key", key, "--output", "-")
    assert "[Peer]" in out and not re.search(r"^PrivateKey", out, re.M)
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    tmp_path / "key.pem", "-out", tmp_path / "req.pem", "-subj", "/CN=x"], check=True, capture_output=True)
    out = cli("credential", "issue", "kim/phone", "--protocol", "openvpn", "--csr", "req.pem", "--output", "-")
    assert "<cert>" in out and "<key>\n-----BEGIN" not in out
    assert cli.run("credential", "issue", "kim/phone", "--csr", "req.pem")[0] == USAGE
    assert cli.run("credential", "issue", "kim/phone", "--protocol", "openvpn", "--csr", "none.pem")[0] == FAILED


def test_a_qr_code_reads_back(g, cli, tmp_path):
    """Half blocks: one line is two rows. Drawn again as qrencode's own, it is the same."""
    _, device, _ = g.provision("qr")
    out = cli("credential", "issue", device["id"], "--qr")
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in out.splitlines()]
    dark = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}
    rows = [[dark[c][half] for c in line] for line in lines for half in (0, 1)]
    size = len(rows[0]) - 4
    code = [row[2:-2] for row in rows[2:2 + size]]
    finder = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"]
    for top, left in ((0, 0), (0, size - 7), (size - 7, 0)):
        assert ["".join(map(str, r[left:left + 7])) for r in code[top:top + 7]] == finder
    assert size % 4 == 1 and not list(tmp_path.glob("*.conf"))
    assert cli.run("credential", "issue", device["id"], "--qr", "--protocol", "openvpn")[0] == USAGE


def test_names_that_more_than_one_has(g, cli):
    for name in ("twin-a", "twin-b"):
        g.device(g.user(name), "same")
    code, _, err = cli.run("device", "show", "same")
    assert code == FAILED and "twin-a/same" in err and "twin-b/same" in err
    assert cli.json("device", "show", "twin-b/same")["name"] == "same"


def test_all_pages(g, cli):
    user = g.user("many")
    for n in range(60):
        g.device(user, f"d{n}")
    assert len(cli.json("device", "list", "--user", "many")["items"]) == 60
    assert cli("device", "list", "--user", "many").count("\n") == 61


# ---- sessions and status ----

def test_sessions_and_status(g, cli):
    device, client = g.connected("tunnel")
    until(lambda: g.session_of(device), 5, "a session")
    out = cli("session", "list")
    assert "user-tunnel" in out and "tunnel" in out and "wireguard" in out
    until(lambda: "1 with a session" in cli("status"), 5, "the dataplane's count")
    assert cli.json("status")["dataplane"]["connected"] is True
    session = cli.json("session", "list")["items"][0]
    cli("session", "kill", "user-tunnel/tunnel")
    assert cli.run("session", "kill", session["id"])[0] == NOT_FOUND


# ---- tokens ----

def test_tokens(g, cli, tmp_path):
    out = cli("token", "add", "job", "--role", "auditor", "--expires", "1h")
    text = (tmp_path / "job.token").read_text().strip()
    assert mode(tmp_path / "job.token") == 0o600 and text not in out
    auditor = Cli(g, tmp_path, text)
    assert auditor("user", "list")
    assert auditor.run("user", "add", "nobody")[0] == NOT_ALLOWED
    assert "job" in cli("token", "list") and text not in cli("token", "list")
    cli("token", "rm", "job")
    assert auditor.run("user", "list")[0] == NOT_ALLOWED


# ---- backup ----

def test_backup(g, cli, tmp_path):
    out = cli("backup")
    file, = tmp_path.glob("ireko-*.db")
    assert file.name in out and mode(file) == 0o600 and not list(tmp_path.glob("*.part"))
    assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    before = file.read_bytes()
    code, _, err = cli.run("backup", file.name)
    assert code == FAILED and file.name in err and file.read_bytes() == before
    code, shown = cli.on_terminal("backup", "again.db")
    assert code == FINE and "100%" in shown and (tmp_path / "again.db").exists()
    assert Cli(g, tmp_path, "ireko_" + "A" * 43).run("backup", "no.db")[0] == NOT_ALLOWED
    assert not list(tmp_path.glob("no.db*"))


# ---- on a terminal ----

class Hostile(http.server.BaseHTTPRequestHandler):
    """An API that means no good: names that move the cursor, a list without an end, headers that name files."""
    evil = "a\x1b]0;title\x07\x9b31m\u202egnp.exe\r\n日本"

    def do_GET(self):
        body = {"items": [{"id": "usr_" + "0" * 26, "name": self.evil, "role": "\x1b[2J", "email": "e" * 300}],
                "next_cursor": "same"}
        data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        if self.path == "/v1/backup":
            data = b"not what was promised"
            headers = {"Repr-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(b'x').digest()).decode()}:",
                       "Content-Disposition": 'attachment; filename="../../evil"'}
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def hostile(g, tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    cli = Cli(g, tmp_path, "ireko_" + "A" * 43)
    cli.popen = lambda *argv, **kw: subprocess.Popen(
        [COMMAND, *argv, "--url", f"http://127.0.0.1:{server.server_port}"], env=cli.env, cwd=tmp_path,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **kw})
    yield cli
    server.shutdown()
    server.server_close()


def test_a_hostile_api_does_not_reach_the_terminal(hostile):
    for columns in (60, 200):
        code, shown = hostile.on_terminal("user", "list", columns=columns)
        lines = shown.replace("\r\n", "\n").splitlines()
        assert code == FINE and len(lines) == 3, shown
        for line in lines:
            assert sum(2 if c in "日本" else 1 for c in line) <= columns, line
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown.replace("\r\n", "\n"))
    code, shown = hostile.on_terminal("user", "list", "--json")
    assert code == FINE and not re.search("[\x7f-\U0010ffff]", shown)


def test_a_download_that_is_not_what_was_sent_is_thrown_away(hostile, tmp_path):
    code, out, err = hostile.run("backup")
    assert code == FAILED and "SHA-256" in err and list(tmp_path.iterdir()) == []
    assert not (tmp_path.parent.parent / "evil").exists()


def test_destructive_ones_ask(g, cli):
    g.user("asked")
    code, shown = cli.on_terminal("user", "rm", "asked", type_="n\n")
    assert code == FAILED and "[y/N]" in shown
    assert cli.json("user", "show", "asked")
    code, shown = cli.on_terminal("user", "rm", "asked", type_="y\n")
    assert code == FINE
    assert cli.run("user", "show", "asked")[0] == NOT_FOUND


# ---- command lines ----

@pytest.mark.parametrize("argv", [
    (), ("nothing",), ("user",), ("user", "add"), ("user", "list", "x"), ("user", "list", "--qr"), ("user", "add", "x", "--role", "king"),
    ("device", "add", "x", "--protocol", "ipsec"), ("device", "add", "x", "--expires", "soon"), ("user", "list", "--url", "ftp://x"),
    ("user", "list", "--json=1"), ("user", "add", "x", "--role"), ("completion", "fish"), ("settings", "set", "mtu"), ("--no-such",)])
def test_usage(cli, argv):
    code, out, err = cli.run(*argv)
    assert code == USAGE and out == "" and err.count("\n") == 1, (code, out, err)


def test_every_command_has_help_that_tells_its_options(cli):
    listed = re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?: \S+)? {2,}\S", cli("--help"), re.M)
    assert {"user add", "credential issue", "top", "backup", "audit verify"} <= set(listed) and len(listed) > 30
    for words in listed:
        text = cli(*words.split(), "--help")
        assert f"Usage: ireko {words}" in text and "Example:\n  ireko " in text and "Exit status" in text


def test_unreachable(cli):
    code, _, err = cli.run("user", "list", "--url", "http://127.0.0.1:9")
    assert code == UNREACHABLE and err.count("\n") == 1


# ---- completion ----

def complete(cli, *words):
    """What bash offers for the last word."""
    script = cli("completion", "bash")
    line = " ".join(f"'{w}'" for w in words)
    done = subprocess.run(["bash", "--norc", "-c", f"""{script}
        COMP_WORDS=(ireko {line}); COMP_CWORD={len(words)}; _ireko; printf '%s\\n' "${{COMPREPLY[@]}}" """],
                          capture_output=True, text=True, cwd=cli.home, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def complete_zsh(cli, *words):
    """What zsh is told: the functions of its completion that the script calls just say what they get."""
    script = cli("completion", "zsh")
    line = " ".join(f"'{w}'" for w in words)
    done = subprocess.run(["zsh", "-f", "-c", f"""compadd() {{ shift; print -l -- "$@" }}; _files() {{ print -l -- *(N) }}
        compdef() {{ : }}; words=(ireko {line}); CURRENT={len(words) + 1}\n{script}\n_ireko"""],
                          capture_output=True, text=True, cwd=cli.home, check=True)
    assert done.stderr == ""
    return {w for w in done.stdout.split() if w.startswith(words[-1])}


@pytest.mark.parametrize("complete", [complete, complete_zsh], ids=["bash", "zsh"])
def test_completion(cli, tmp_path, complete):
    (tmp_path / "a-file").touch()
    assert {"user", "device", "backup", "completion"} <= complete(cli, "")
    assert complete(cli, "dev") == {"device"}
    assert complete(cli, "device", "") == {"list", "add", "show", "disable", "enable", "rm"}
    assert complete(cli, "device", "add", "x", "--p") == {"--protocol"}
    assert complete(cli, "device", "add", "--protocol", "") == {"wireguard", "openvpn"}
    assert complete(cli, "--json", "user", "add", "x", "--role", "a") == {"auditor", "admin"}
    assert complete(cli, "credential", "issue", "x", "--csr", "a-") == {"a-file"}
    assert complete(cli, "backup", "a-") == {"a-file"}
    assert {"list", "verify", "--count"} <= complete(cli, "audit", "")
    assert complete(cli, "completion", "b") == {"bash"}
    assert complete(cli, "user", "list", "--url", "") == set()


# ---- what other rooms tell ----

def test_audit(g, cli):
    cli("user", "add", "seen")
    seen = cli.json("user", "show", "seen")["id"]
    rows = cli.json("audit", "--object", seen)["items"]
    assert [r["action"] for r in rows] == ["user.create"]
    out = cli("audit", "list", "--user", "admin", "--action", "user.create", "--count", "2")
    assert out.count("\n") == 3 and "user.create" in out and seen in out
    cli("backup", "audited.db")
    assert cli.json("audit", "--action", "backup.make", "--count", "1")["items"]
    assert re.search(r"rows +\d+", cli("audit", "verify")) and cli.json("audit", "verify")["ok"] is True


def test_settings(g, cli):
    before = cli.json("settings", "show")
    after = json.loads(cli("settings", "set", "mtu=1380", "dns=9.9.9.9,149.112.112.112", "traffic_retention.days=400", "--json"))
    assert after["mtu"] == 1380 and after["dns"] == ["9.9.9.9", "149.112.112.112"]
    assert after["traffic_retention"]["days"] == 400
    assert re.search(r"^mtu +1380 +\d+$", cli("settings", "show"), re.M)
    cli("settings", "set", "mtu=", "dns=", "traffic_retention.days=")
    now = cli.json("settings", "show")
    assert {k: now[k] for k in ("mtu", "dns", "traffic_retention")} == {k: before[k] for k in ("mtu", "dns", "traffic_retention")}
    code, _, err = cli.run("settings", "set", "mtu=5")
    assert code == FAILED and "mtu" in err
    for bad in ("mtu", "mtu=x", "nothing=1"):
        assert cli.run("settings", "set", bad)[0] == USAGE


def test_second_factor(g, tmp_path):
    """login asks for the one-time code when the server does."""
    cli = Cli(g, tmp_path)
    g.api.post("/v1/users", {"name": "two", "password": "a long enough password"})
    login = g.anonymous.login("two", "a long enough password")
    secret = login.post("/v1/me/totp", {"password": "a long enough password"})["secret"]
    before = code(secret, -1)  # each only once: the one before for now, this one for the login
    login._expect((204,), "POST", "/v1/me/totp/confirm", {"totp": before})
    assert cli.run("login", "--user", "two", stdin="a long enough password\n")[0] == NOT_ALLOWED
    status, out, err = cli.run("login", "--user", "two", stdin=f"a long enough password\n{code(secret)}\n")
    assert status == FINE, err
    assert cli.json("device", "list")["items"] == []


def test_invite(g, cli):
    _, device, _ = g.provision("invited")
    url = cli("invite", "user-invited/invited", "--expires", "10m").strip()
    assert re.fullmatch(r"https?://\S+/i/\S{40,}", url)
    path = "/" + url.split("/", 3)[3]
    a = g.anonymous.request("POST", path, headers={"Accept": "application/json"})
    assert a.status in (200, 201) and "[Interface]" in a.json["profile"]
    assert "█" in cli("invite", device["id"], "--qr")


class Lines:
    """A command that goes on, and the lines that it has written."""

    def __init__(self, cli, *argv):
        self.process, self.seen = cli.popen(*argv), []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in iter(self.process.stdout.readline, b""):
            self.seen.append(line.decode())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.reader.join(10)


def streams(g):
    """How many follow events, as the metrics tell."""
    return int(re.search(r'state="streaming"} (\d+)', g.request("GET", "/metrics").body.decode())[1])


def test_events(g, cli):
    _, device, issued = g.provision("eventful")
    with Lines(cli, "events", "--types", "session.started", "--count", "1") as all_, \
            Lines(cli, "events", "--types", "session.started", "--json", "--count", "1") as json_:
        until(lambda: streams(g) >= 2, 5, "two streams")
        g.client(issued)
        for lines in (all_, json_):
            assert lines.process.wait(10) == FINE
            lines.reader.join(5)
        assert f"device_id={device['id']}" in all_.seen[0] and "session.started" in all_.seen[0]
        event = json.loads(json_.seen[0])
        assert event["type"] == "session.started" and event["data"]["session"]["device_id"] == device["id"] and event["id"]


def test_events_go_on_over_a_restart(g, cli):
    _, device, _ = g.provision("patient")
    with Lines(cli, "events", "--types", "device.changed") as lines:
        until(lambda: streams(g) == 1, 5, "a stream")
        g.restart_controlplane()
        until(lambda: streams(g) == 1, 10, "the stream again")
        g.api.patch(f"/v1/devices/{device['id']}", {"name": "patient-2"})
        until(lambda: any(device["id"] in line for line in lines.seen), 5, "the event behind the restart")
        assert lines.process.poll() is None


def test_events_end_with_the_token(g, cli, tmp_path):
    token = g.api.post("/v1/tokens", {"name": "short"})
    with Lines(Cli(g, tmp_path, token["token"]), "events") as lines:
        until(lambda: streams(g) == 1, 5, "a stream")
        g.api.delete(f"/v1/tokens/{token['id']}")
        assert lines.process.wait(10) == NOT_ALLOWED


def test_top_and_traffic(g, cli):
    _, device, issued = g.provision("busy")
    client = g.client(issued)
    ping = client.ns.popen(["ping", "-i", "0.1", "-s", "1000", topology.INTERNET4], stdout=subprocess.DEVNULL)
    try:
        code, out, err = cli.run("top", "--count", "2")
        assert code == FINE and out.count("\n") == 2 and "tunnels" in out, err
        code, shown = cli.on_terminal("top", "--count", "2", columns=120)
        assert code == FINE and "\x1b[H" in shown
        row = next(line for line in shown.splitlines() if "busy" in line)
        assert "user-busy" in row and "wireguard" in row and "bit/s" in row
        last = json.loads(cli("top", "--json", "--count", "2").splitlines()[-1])
        session = next(s for s in last["sessions"] if s["device_id"] == device["id"])
        assert session["rx_rate"] > 0 and session["device"] == "busy"
        until(lambda: "KiB" in cli("traffic", "user-busy/busy", "--from", "60s", "--step", "1"), 5, "seconds of traffic")
    finally:
        ping.kill()
        ping.wait(5)
    doc = cli.json("traffic", "user-busy/busy", "--from", "60s", "--step", "1")
    assert doc["step"] == 1 and doc["series"][0]["device_id"] == device["id"]
    assert cli("traffic").startswith("TIME")
    assert cli.run("traffic", "--step", "7")[0] == FAILED
