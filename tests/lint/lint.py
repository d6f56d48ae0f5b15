#!/usr/bin/python3
"""House rules that a machine can check. Each rule prints `ok N name` or `not ok N name` and why.

Usage: lint.py [RULE ...]; without names all rules run. Exit status 1 when one is broken.
"""
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]

# Bottom first: a room includes itself and what stands before it.
ROOMS = ["base", "crypto", "wire", "uapi", "db", "directory", "pki", "fwd", "netconf", "wg", "ovpn",
         "dp", "io", "session", "service", "api"]
# Forwarding and its surroundings are the dataplane's own.
DATAPLANE_ONLY = {"fwd", "netconf", "io"}
CONTROL_ONLY = {"db", "directory", "pki", "wg", "ovpn", "dp", "session", "service", "api"}
# A library's header belongs to one room.
LIBRARY_ROOM = {
    "sqlite3.h": {"db"}, "microhttpd.h": {"api"}, "jansson.h": {"api"}, "qrencode.h": {"api"},
    "uv.h": {"dp", "session"}, "libmnl/libmnl.h": {"netconf"}, "nftables/libnftables.h": {"netconf"},
    "seccomp.h": {"base"}, "intel-ipsec-mb.h": {"crypto"}, "curl/curl.h": {"api"}, "gnutls/gnutls.h": {"api"},
}
BANNED = {
    r"\b(strcpy|strcat|sprintf|vsprintf|gets|alloca|strtok|system|popen|execl|execlp|execv|execvp|execve)\s*\(": None,
    r"(?<![\w.])(rand|random|srand|drand48)\s*\(": None,
    r"\b(clock_gettime|gettimeofday|time)\s*\(": {"dataplane/base/clock.c", "controlplane/session/jobs.c"},
}
SECRET = re.compile(r"\bmemcmp\s*\([^;]*\b(key|mac1|mac2|mac|tag|psk|password|token|secret|cookie|csrf|hash)\b[^;]*\)")
PACKET_PATH = re.compile(r"^dataplane/fwd/(rx|tx|replay|route_lookup|stage_take)\w*\.c$")
ALLOCATION = re.compile(r"\b(malloc|calloc|realloc|free|strdup|aligned_alloc)\s*\(")

# System calls that only older architectures have, and what the C library calls in their place on the others (arm64, riscv64).
OLD_CALLS = {
    "access": "faccessat", "alarm": "setitimer", "chmod": "fchmodat", "chown": "fchownat", "creat": "openat", "dup2": "dup3",
    "epoll_create": "epoll_create1", "epoll_wait": "epoll_pwait", "eventfd": "eventfd2", "fork": "clone", "futimesat": "utimensat",
    "getdents": "getdents64", "getpgrp": "getpgid", "inotify_init": "inotify_init1", "lchown": "fchownat", "link": "linkat",
    "lstat": "newfstatat", "mkdir": "mkdirat", "mknod": "mknodat", "open": "openat", "pause": "ppoll", "pipe": "pipe2",
    "poll": "ppoll", "readlink": "readlinkat", "rename": "renameat", "rmdir": "unlinkat", "select": "pselect6",
    "signalfd": "signalfd4", "stat": "newfstatat", "symlink": "symlinkat", "time": "gettimeofday", "unlink": "unlinkat",
    "utime": "utimensat", "utimes": "utimensat", "vfork": "clone",
}
FILTERS = {"dataplane/main.c", "dataplane/netconf/helper.c", "controlplane/syscalls.c"}


def tracked(*patterns):
    out = subprocess.run(["git", "-C", TOP, "ls-files", "-co", "--exclude-standard", "--", *patterns],
                         capture_output=True, text=True, check=True).stdout.split()
    return [f for f in out if (TOP / f).is_file()]


def sources():
    return tracked("*.c", "*.h")


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)
    text = re.sub(r"//[^\n]*", "", text)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', text)


def room_of(path):
    parts = Path(path).parts
    if parts[0] in ("dataplane", "controlplane"):
        return parts[1] if len(parts) > 2 else None
    return parts[0] if parts[0] in ("db", "api") else None


def includes(path):
    for number, line in enumerate((TOP / path).read_text().splitlines(), 1):
        found = re.match(r'\s*#\s*include\s+(["<])([^">]+)', line)
        if found:
            yield number, found[1] == '"', found[2]


def rule_include_arrows():
    """Includes point downward only; a library's header stays in its room."""
    wrong = []
    for path in sources():
        room = room_of(path)
        if not room or room not in ROOMS:
            continue
        for number, own, name in includes(path):
            target = name.split("/")[0] if own and "/" in name else None
            if target in ROOMS and ROOMS.index(target) > ROOMS.index(room):
                wrong.append(f"{path}:{number}: {room} may not include {name}")
            if target in DATAPLANE_ONLY and room in CONTROL_ONLY or target in CONTROL_ONLY and room in DATAPLANE_ONLY:
                wrong.append(f"{path}:{number}: the two planes only share base, crypto, wire and uapi")
            if not own and room not in LIBRARY_ROOM.get(name, {room}):
                wrong.append(f"{path}:{number}: <{name}> belongs to {', '.join(LIBRARY_ROOM[name])}")
    for path in tracked("api/cli/*.c", "api/cli/*.h"):
        for number, own, name in includes(path):
            if own and "/" in name and not name.startswith(("base/", "api/cli/")):
                wrong.append(f"{path}:{number}: the command only includes base")
    return wrong


def rule_headers_alone():
    """Every header compiles by itself."""
    def check(path):
        with tempfile.NamedTemporaryFile("w", suffix=".c") as f:
            f.write(f'#include "{TOP / path}"\n')
            f.flush()
            run = subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                                  f"-I{TOP}/dataplane", f"-I{TOP}/controlplane", f"-I{TOP}", f.name],
                                 capture_output=True, text=True)
        return [] if run.returncode == 0 else [f"{path}: {run.stderr.splitlines()[0] if run.stderr else 'fails'}"]
    heads = [h for h in tracked("*.h") if not h.startswith("tests/")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [w for result in pool.map(check, heads) for w in result]


def rule_banned_words():
    """No unbounded string functions, no weak randomness, no clocks outside base/clock, no programs started."""
    wrong = []
    for path in sources():
        if path.startswith("tests/"):
            continue
        for number, line in enumerate(without_comments((TOP / path).read_text()).splitlines(), 1):
            for pattern, allowed in BANNED.items():
                found = re.search(pattern, line)
                if found and path not in (allowed or ()):
                    wrong.append(f"{path}:{number}: {found[0].rstrip('(').strip()}")
            if SECRET.search(line):
                wrong.append(f"{path}:{number}: memcmp on a secret: use secret_equal")
    return wrong


def rule_no_allocation_per_packet():
    """The packet path of fwd allocates nothing."""
    wrong = []
    for path in sources():
        if PACKET_PATH.match(path):
            for number, line in enumerate(without_comments((TOP / path).read_text()).splitlines(), 1):
                if ALLOCATION.search(line):
                    wrong.append(f"{path}:{number}: {line.strip()}")
    return wrong


def rule_clang_format():
    """clang-format decides; the version that Debian 12 and 13 both have."""
    run = subprocess.run(["clang-format-19", "--dry-run", "-Werror", *sources()], cwd=TOP, capture_output=True, text=True)
    return sorted({line.split(": error")[0] for line in run.stderr.splitlines() if ": error" in line})


def rule_system_calls_everywhere():
    """What a filter allows under an old name it allows under the name that other architectures have."""
    wrong, seen = [], set()
    for path in sources():
        listed = re.search(r"static const char \*const allowed\[\] = \{(.*?)\};", (TOP / path).read_text(), re.S)
        if path.startswith("tests/") or not listed:
            continue
        seen.add(path)
        names = set(re.findall(r'"(\w+)"', listed[1]))
        wrong += [f"{path}: {old}, but not {OLD_CALLS[old]}" for old in sorted(names & set(OLD_CALLS)) if OLD_CALLS[old] not in names]
    return wrong + [f"{path}: no list of allowed system calls was found" for path in sorted(FILTERS - seen)]


def rule_sql_in_its_room():
    """SQL text stays in db/."""
    return [f"{p}:{n}" for p in sources() if not p.startswith(("db/", "tests/"))
            for n, line in enumerate((TOP / p).read_text().splitlines(), 1)
            if re.search(r'"\s*(SELECT|INSERT|UPDATE|DELETE FROM|CREATE TABLE)\b', line)]


def rule_every_room_has_a_readme():
    """A folder is a room with a short README.md."""
    rooms = {str(Path(p).parent) for p in sources() if not p.startswith("tests/unit/") and "/" in p}
    rooms |= {"tests", "docker"}
    return [f"{r}/README.md is missing" for r in sorted(rooms)
            if not (TOP / r / "README.md").exists() and r not in ("api/handlers", "tests/vectors", "tests/sim", "tests/fuzz", "tests/e2e")]


def rule_shellcheck():
    """Shell scripts pass shellcheck."""
    scripts = [f for f in tracked() if f.endswith(".sh") or f == ".ci/run"]
    run = subprocess.run(["shellcheck", *scripts], cwd=TOP, capture_output=True, text=True)
    return run.stdout.splitlines() if run.returncode else []


def rule_cppcheck():
    """cppcheck finds nothing."""
    files = [f for f in sources() if f.endswith(".c") and not f.startswith("tests/")]
    run = subprocess.run(["cppcheck", "--quiet", "--enable=warning,portability,performance", "--inline-suppr",
                          "--error-exitcode=1", "--std=c11", "-D_GNU_SOURCE", f"-j{os.cpu_count()}", "-Idataplane", "-Icontrolplane", "-I.",
                          "--suppressions-list=tests/lint/cppcheck.txt", *files], cwd=TOP, capture_output=True, text=True)
    return [line for line in run.stderr.splitlines() if re.match(r"\S+:\d+:", line)] if run.returncode else []


def rule_hardening():
    """The release programs carry the hardening flags (build/bin)."""
    wrong = []
    for name in ("ireko-dataplane", "ireko-controlplane", "ireko"):
        path = TOP / "build/bin" / name
        if not path.exists():
            wrong.append(f"{name}: not built")
            continue
        def elf(*flags):
            return subprocess.run(["readelf", "-W", *flags, path], capture_output=True, text=True).stdout
        head, dynamic, segments, symbols = elf("-h"), elf("-d"), elf("-l"), elf("--dyn-syms")
        checks = {
            "PIE": "DYN" in head, "RELRO": "GNU_RELRO" in segments, "immediate binding": "NOW" in dynamic,
            "no executable stack": re.search(r"GNU_STACK.*RW ", segments) is not None,
            "stack protector": "__stack_chk_fail" in symbols, "FORTIFY": "_chk" in symbols,
            "no RPATH": "RPATH" not in dynamic and "RUNPATH" not in dynamic,
        }
        # The linker keeps the note only when the C library's start code carries it as well.
        start = subprocess.run(["gcc", "-print-file-name=crt1.o"], capture_output=True, text=True).stdout.strip()
        if "IBT" in subprocess.run(["readelf", "-n", start], capture_output=True, text=True).stdout:
            checks["IBT and shadow stack"] = "IBT" in elf("-n")
        wrong += [f"{name}: {what} is missing" for what, there in checks.items() if not there]
    return wrong


RULES = {name[5:]: rule for name, rule in sorted(globals().items()) if name.startswith("rule_")}


def main():
    names = sys.argv[1:] or list(RULES)
    broken = 0
    for number, name in enumerate(names, 1):
        try:
            wrong = RULES[name]()
        except OSError as e:
            wrong = [str(e)]
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}")
        for line in wrong:
            print(f"#   {line}")
        broken += bool(wrong)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
