"""The service in containers: README's quick start as it stands, clients, privileges, restarts. One story, told in order.

The world outside of the engine's machine is containers too (engine.py): two clients, one web server."""
import io
import json
import os
import pathlib
import re
import tarfile
import time

import pytest

import topology
import traffic
from client import Client
from engine import ROOT, Outside, children_of, status_of
from ovpn_client import OpenVpn
from poll import until
from story import CONTROL, DATA, NAME

CAP_NET_ADMIN = 1 << 12
VERSION = re.search(r"^VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.M).group(1)


def quick_start():
    """README's lines for containers, as a reader pastes them."""
    readme = (ROOT / "README.md").read_text()
    block = next(b for b in re.findall(r"^```\n(.*?)^```$", readme, re.M | re.S) if b.startswith("git clone"))
    return block.splitlines()


# ---- from nothing to a connected client ----

def test_quick_start(story, figure):
    figure("engine", f"{story.engine.seconds:.0f} s")
    lines = quick_start()
    assert 1 <= len(lines) <= 3 and lines[0].startswith("git clone https://"), lines
    lines[0] = re.sub(r"https://\S+", f"file://{story.dir}/ireko.git", lines[0])
    began = time.monotonic()
    for line in lines:
        output = story.engine.run("sh", "-c", line, cwd=story.dir, seconds=600)
        figure(line.split()[0] if "compose" not in line else "build and start", f"{time.monotonic() - began:.0f} s")
    assert story.healthy(), output
    story.outside = Outside(story.engine)
    for place in story.outside.clients:
        place.knows(NAME, topology.SERVER4)
    profile = (story.dir / "laptop.conf").read_text()
    assert (story.dir / "laptop.conf").stat().st_mode & 0o7777 == 0o600
    assert f"Endpoint = {NAME}:51820" in profile
    story.laptop = story.own(Client(story.outside.clients[0], profile).start().connect())
    figure("connected", f"{time.monotonic() - began:.0f} s after git clone was typed")


def test_rest_from_outside(story):
    admin = story.admin()
    user = admin.post("/v1/users", {"name": "alice"})
    device = admin.post("/v1/devices", {"user_id": user["id"], "name": "tablet"})
    issued = admin.post(f"/v1/devices/{device['id']}/credentials", {"protocol": "openvpn"})
    assert f"remote {NAME} 1194 udp" in issued["profile"]
    story.tablet = story.own(OpenVpn(story.outside.clients[1], issued["profile"]).start().connect(20))
    story.tunnels = [story.laptop, story.tablet]
    sessions = until(lambda: (s := admin.all("/v1/sessions")) and len(s) == 2 and s, 5, "two sessions")
    assert {s["protocol"] for s in sessions} == {"wireguard", "openvpn"}
    # The addresses of the clients themselves, not of something in between.
    assert {s["endpoint"].rsplit(":", 1)[0] for s in sessions} == {c.address4 for c in story.outside.clients}


def test_internet_by_http(story):
    web = story.own(traffic.WebServer(story.outside.internet, 4 << 20))
    for tunnel in story.tunnels:
        assert traffic.download(tunnel.ns)[:2] == (web.size, web.sha256)
        assert traffic.upload(tunnel.ns, web.file) == web.sha256
    # Through NAT: the internet has no way to a tunnel address, nor to a container's.
    assert "10.77." not in story.outside.internet.ip("route") and "172." not in story.outside.internet.ip("route")
    web.stop()


def test_dashboard_loads(story):
    rest = story.rest()
    page = rest.request("GET", "/")
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html"), page
    assets = re.findall(r'(?:src|href)="(?:\./|/)?(assets/[^"]+)"', page.body.decode())
    assert len(assets) >= 2, page.body
    for asset in assets:
        got = rest.request("GET", f"/{asset}")
        assert got.status == 200 and got.body, asset
    rest.close()


# ---- what they may do ----

def test_images(story, figure):
    for name in ("controlplane", "dataplane"):
        image = story.engine.inspect(f"ireko-{name}", "image")
        figure(f"image {name}", f"{image['Size'] / 1e6:.1f} MB")
        assert image["Size"] <= 25_000_000, "as README says"
        assert len(image["RootFS"]["Layers"]) == 1
        labels = image["Config"]["Labels"]
        assert labels["org.opencontainers.image.version"] == VERSION and labels["org.opencontainers.image.licenses"] == "Apache-2.0"
        assert image["Config"]["Entrypoint"] == [f"ireko-{name}"] and not image["Config"].get("Cmd")
        assert image["Config"]["User"] not in ("", "0", "root") and image["Config"]["Healthcheck"]
        said = story.engine.docker("run", "--rm", f"ireko-{name}", "--version").strip()
        assert said == f"ireko-{name} {VERSION}"


def layers(story, name):
    """{path: bytes} of all layers of an image, and everything else that it consists of as one text."""
    archive = story.dir / f"{name}.tar"
    story.engine.docker("save", "--output", archive, f"ireko-{name}")
    files, rest = {}, b""
    with tarfile.open(archive) as outer:
        for member in outer.getmembers():
            if not member.isfile():
                continue
            data = outer.extractfile(member).read()
            try:
                with tarfile.open(fileobj=io.BytesIO(data)) as inner:
                    for m in inner.getmembers():
                        files[m.name] = inner.extractfile(m).read() if m.isfile() else None
            except tarfile.ReadError:
                rest += data
    archive.unlink()
    return files, rest.decode(errors="replace")


SECRET = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|-----BEGIN OpenVPN|_authToken|password=|AKIA[0-9A-Z]{16}")


@pytest.mark.parametrize("name", ["controlplane", "dataplane"])
def test_layers_hold_no_secret_and_no_shell(story, name):
    files, about = layers(story, name)
    programs = {p for p, data in files.items() if p.startswith("usr/bin/") and data}
    assert programs == {f"usr/bin/ireko-{name}"} | ({"usr/bin/ireko"} if name == "controlplane" else set())
    assert not [p for p, data in files.items() if p.startswith(("var/lib/ireko/", "run/ireko/")) and data is not None]
    for path, data in files.items():
        found = SECRET.search(data or b"")
        # What a program writes in front of a key is in the program.
        assert not found or path.startswith("usr/"), f"{path}: {found}"
    registry = story.engine.env["NPM_CONFIG_REGISTRY"]
    assert not registry or registry not in about
    assert "apt-get" not in about, "the build's own steps are no part of it"
    bill = json.loads(files["usr/share/ireko/sbom.spdx.json"])
    assert bill["spdxVersion"] == "SPDX-2.3" and bill["packages"][0]["versionInfo"] == VERSION
    named = {p["name"] for p in bill["packages"]}
    assert "libc6" in named and any(n.startswith("libssl3") for n in named)
    assert ("preact" in named) == (name == "controlplane")
    ids = {p["SPDXID"] for p in bill["packages"]}
    assert len(ids) == len(bill["packages"])
    for r in bill["relationships"]:
        assert {r["spdxElementId"], r["relatedSpdxElement"]} <= ids | {"SPDXRef-DOCUMENT"}
    libraries = {p for p in files if ".so" in p and files[p]}
    assert len(named) >= len(libraries) / 3, "as good as every library comes from a package of its own"


@pytest.mark.parametrize("name", [CONTROL, DATA])
def test_privileges(story, name):
    container = story.engine.inspect(name)
    host = container["HostConfig"]
    assert host["CapDrop"] == ["ALL"] and (host["CapAdd"] or []) == (["NET_ADMIN"] if name == DATA else [])
    assert host["ReadonlyRootfs"] and not host["Privileged"] and host["PidsLimit"] and host["Memory"]
    assert host["NetworkMode"] not in ("host",) and not host["PidMode"] and host["IpcMode"] in ("private", "")
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert [d["PathOnHost"] for d in host["Devices"] or []] == (["/dev/net/tun"] if name == DATA else [])
    assert not any(m["Type"] == "bind" and "docker.sock" in m["Source"] for m in container["Mounts"])
    if name == CONTROL:
        assert any("no-new-privileges" in o for o in host["SecurityOpt"])

    pids = {"main": container["State"]["Pid"]}
    if name == DATA:
        [pids["helper"]] = children_of(pids["main"])
    for who, pid in pids.items():
        s = status_of(pid)
        keep = CAP_NET_ADMIN if who == "helper" else 0
        assert set(s["Uid"].split()) == {"6201" if name == DATA else "6202"}, who
        assert set(s["Gid"].split()) == {"6201"} and set(s["Groups"].split()) <= {"6201"}, who
        assert int(s["CapEff"], 16) == int(s["CapPrm"], 16) == keep, who
        assert int(s["CapInh"], 16) == int(s["CapAmb"], 16) == 0, who
        assert int(s["CapBnd"], 16) & ~(CAP_NET_ADMIN if name == DATA else 0) == 0, who
        # The engine's filter and the program's own.
        assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2" and int(s["Seccomp_filters"]) >= 2, who
        root = next(line for line in pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines() if line.split()[4] == "/")
        assert "ro" in root.split()[5].split(","), who
    if name == CONTROL:
        assert not pathlib.Path(f"/proc/{pids['main']}/root/dev/net/tun").exists()


def test_no_secret_in_sight(story):
    """Neither the engine's log nor what it shows of a container holds the password or the master key."""
    password = story.from_data("admin-password").read_text().strip()
    key = story.from_data("master.key").read_bytes()
    assert len(password) >= 16
    for name in (CONTROL, DATA):
        shown = story.logs(name) + story.engine.docker("inspect", name)
        pid = story.engine.pid(name)
        shown += "".join(pathlib.Path(f"/proc/{pid}/{f}").read_text(errors="replace") for f in ("cmdline", "environ"))
        assert password not in shown and key.hex() not in shown.lower()


# ---- restarts ----

def killed_and_back(story, figure, streams, watched, moment):
    """SIGKILL of the dataplane: healthy again and traffic back within 10 s."""
    before = story.engine.inspect(DATA)["RestartCount"]
    os.kill(story.engine.pid(DATA), 9)
    killed = time.monotonic()
    until(lambda: story.engine.inspect(DATA)["RestartCount"] > before, 5, "it is dead, and started anew")
    until(lambda: story.healthy(), 10, "healthy again")
    figure(f"{moment}: healthy", f"{time.monotonic() - killed:.1f} s after the kill")
    for s in watched:
        marks = [e.received() for e in s.ends()]
        until(lambda: all(e.received() > m + 20 for e, m in zip(s.ends(), marks)), max(0.1, killed + 10 - time.monotonic()),
              "traffic is back")
    for which, d in story.stop_streams(streams):
        again = d.first_sent_after(killed + 0.2)
        figure(f"{moment}: {which}", "no traffic" if again is None else f"traffic {again - killed:.1f} s after the kill")


def answers(rest):
    try:
        return rest.request("GET", "/readyz").status == 200
    except OSError:
        return False


def test_dataplane_killed(story, figure):
    streams = story.streams()
    killed_and_back(story, figure, streams, streams, "kill")


def test_new_control_plane_loses_no_packet(story, figure):
    """By restart and by recreation, as an upgrade does it."""
    streams = story.streams()
    before = story.engine.inspect(CONTROL)["Id"]
    story.compose("restart", "controlplane")
    until(lambda: story.healthy(), 30, "healthy again")
    story.compose("up", "--detach", "--force-recreate", "--no-deps", "--wait", "controlplane")
    assert story.engine.inspect(CONTROL)["Id"] != before
    for s in streams:
        s.wait_flowing()
    for which, d in story.stop_streams(streams):
        figure(which, str(d))
        assert d.lost == 0 and d.duplicates == 0, which


def test_dataplane_killed_right_after_that(story, figure):
    """The control plane that has shaken hands is not there any more: the new one calls WireGuard's peers, and has the new dataplane send
    OpenVPN clients what the old one had sealed for them."""
    streams = story.streams()
    story.compose("restart", "controlplane")
    rest = story.rest()
    until(lambda: answers(rest), 15, "the new control plane has found the dataplane", every=0.1)
    killed_and_back(story, figure, streams, streams, "kill after a restart")


def test_down_and_up(story, figure):
    devices = {d["id"]: d["address4"] for d in story.admin().all("/v1/devices")}
    password = story.from_data("admin-password").read_text()
    story.compose("down", "--timeout", "10")
    for name in (CONTROL, DATA):
        assert story.engine.docker("inspect", name, check=False)[0] != 0
    began = time.monotonic()
    story.compose("up", "--detach", "--wait")
    seconds = time.monotonic() - began
    figure("up --wait", f"{seconds:.1f} s")
    assert seconds < 30
    assert story.from_data("admin-password").read_text() == password
    assert {d["id"]: d["address4"] for d in story.admin().all("/v1/devices")} == devices
    story.laptop.connect(30)  # the client was told nothing and knocks until it is let in
