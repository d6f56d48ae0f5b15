"""How the programs start and refuse to: one clear line on stderr, exit 1, or 2 for a bad flag or value."""
import os
import pwd
import re
import signal
import subprocess
import time

import pytest

import daemons

BUILD = daemons.build_dir()
CONTROL = BUILD / "bin/ireko-controlplane"
DATA = BUILD / "bin/ireko-dataplane"
COMMAND = BUILD / "bin/ireko"


def environment(folder, **settings):
    env = {k: v for k, v in os.environ.items() if not k.startswith("IREKO_")}
    env |= {"IREKO_DATA_DIR": str(folder), "IREKO_RUN_DIR": str(folder.parent / "run"),
            "IREKO_HTTP_LISTEN": "127.0.0.1:0", "ASAN_OPTIONS": "detect_leaks=0"}
    return env | {f"IREKO_{k}": str(v) for k, v in settings.items()}


def refused(program, env, *flags):
    done = subprocess.run([program, *flags], env=env, capture_output=True, text=True, timeout=20)
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


def served(env):
    """Starts the control plane, waits until it serves, ends it. Returns what it wrote."""
    p = subprocess.Popen([CONTROL], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    until = time.monotonic() + 20
    for line in p.stderr:
        lines.append(line)
        if " ready on " in line or time.monotonic() > until:
            break
    p.send_signal(signal.SIGTERM)
    out, rest = p.communicate(timeout=10)
    assert p.returncode == 0, lines
    return out, "".join(lines) + rest


@pytest.fixture
def folder(tmp_path):
    """A data folder below one that other users may pass through."""
    daemons.make_users()
    os.chmod(tmp_path, 0o755)
    for parent in tmp_path.parents:
        if parent.owner() == "root" and str(parent).startswith("/tmp/"):
            os.chmod(parent, parent.stat().st_mode | 0o011)
    return tmp_path / "data"


@pytest.mark.parametrize("program", [CONTROL, DATA, COMMAND], ids=lambda p: p.name)
def test_help_version_and_unknown_flags(program, tmp_path):
    env = environment(tmp_path)
    for flag in ("--help", "--version"):
        done = subprocess.run([program, flag], env=env, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0 and done.stdout and not done.stderr
    code, line = refused(program, env, "--no-such-flag")
    assert code == 2 and "--no-such-flag" in line


def test_first_start_makes_all_and_tells_the_password_once(folder):
    out, _ = served(environment(folder))
    assert out.startswith("admin password: ") and out.count("\n") == 1
    out, log = served(environment(folder))
    assert out == "" and "password" not in log
    assert folder.stat().st_mode & 0o777 == 0o700
    assert pwd.getpwuid(folder.stat().st_uid).pw_name == "ireko-control"


def test_first_password_goes_into_a_file(folder):
    """As a container has it, whose output is kept: never printed, never over something, never lost."""
    env = environment(folder, ADMIN_PASSWORD_TO=folder / "first-password")
    folder.mkdir()
    (folder / "first-password").write_text("somebody else's\n")
    code, line = refused(CONTROL, env)
    assert code == 1 and str(folder / "first-password") in line
    assert (folder / "first-password").read_text() == "somebody else's\n"
    code, line = refused(CONTROL, env | {"IREKO_ADMIN_PASSWORD_TO": str(folder / "no/such"), "IREKO_LOG_LEVEL": "error"})
    assert code == 1 and "no/such" in line

    (folder / "first-password").unlink()
    out, log = served(env)
    assert out == "" and "first-password" in log
    password = (folder / "first-password").read_text()
    assert re.fullmatch(r"[\w-]{32}\n", password) and password.strip() not in log
    assert (folder / "first-password").stat().st_mode & 0o777 == 0o600
    assert (folder / "first-password").owner() == "ireko-control"
    # Later starts neither need it nor make another.
    (folder / "first-password").unlink()
    served(env)
    assert not (folder / "first-password").exists()


def test_given_password_is_written_nowhere(folder):
    out, _ = served(environment(folder, ADMIN_PASSWORD_TO=folder / "p", ADMIN_PASSWORD="a password that is known"))
    assert out == "" and not (folder / "p").exists()


def test_folder_of_root_is_handed_over(folder):
    folder.mkdir(mode=0o755)
    served(environment(folder, ADMIN_PASSWORD="correct horse"))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {f.owner() for f in [folder, *folder.iterdir()]} == {"ireko-control"}


def test_folder_that_others_may_write_is_refused(folder):
    folder.mkdir()
    folder.chmod(0o777)
    code, line = refused(CONTROL, environment(folder))
    assert code == 1 and str(folder) in line and "0700" in line
    assert not list(folder.iterdir())


def test_foreign_master_key(folder):
    served(environment(folder))
    (folder / "master.key").write_bytes(os.urandom(32))
    code, line = refused(CONTROL, environment(folder))
    assert code == 1 and "master.key" in line


def test_lost_master_key_is_not_replaced(folder):
    served(environment(folder))
    (folder / "master.key").unlink()
    code, line = refused(CONTROL, environment(folder))
    assert code == 1 and "master.key" in line
    assert not (folder / "master.key").exists()


def test_networks_are_fixed_at_first_start(folder):
    served(environment(folder, NETWORK4="10.99.0.0/24"))
    code, line = refused(CONTROL, environment(folder, NETWORK4="10.98.0.0/24"))
    assert code == 1 and "--network4" in line and "10.99.0.0/24" in line
    served(environment(folder))


def test_damaged_database(folder):
    served(environment(folder))
    for name in ("ireko.db-wal", "ireko.db-shm"):
        (folder / name).unlink(missing_ok=True)
    with open(folder / "ireko.db", "r+b") as f:
        f.seek(4096)
        f.write(os.urandom(8192))
    code, line = refused(CONTROL, environment(folder))
    assert code == 1 and "database" in line


def test_second_control_plane(folder):
    env = environment(folder)
    first = subprocess.Popen([CONTROL], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        for line in first.stderr:
            if " ready on " in line:
                break
        code, line = refused(CONTROL, env)
        assert code == 1 and "database" in line
    finally:
        first.terminate()
        first.communicate(timeout=10)


@pytest.mark.parametrize("setting, value", [("USER", "no-such-user"), ("RUN_DIR", "/proc/nothing")])
def test_dataplane_says_why(tmp_path, setting, value):
    code, line = refused(DATA, environment(tmp_path, **{setting: value}))
    assert code == 1 and value in line


@pytest.mark.parametrize("setting, value", [
    ("LISTEN", "udp://nowhere"), ("LISTEN", ""), ("TUN", "a/b"), ("WORKERS", "0"), ("AEAD", "rot13"), ("NAT", "perhaps")])
def test_dataplane_refuses_values(tmp_path, setting, value):
    flag = "--" + setting.lower()
    code, line = refused(DATA, environment(tmp_path), flag, value)
    assert code == 2 and flag in line
