"""Many peers: memory, handshakes, synchronisation. Ours with both protocols, Debian's wireguard-go and openvpn beside it.

Each of the three fills a dictionary step by step; do(what, call, *args) makes a step: None when it fails, and then the
later ones go on with what is there."""
import concurrent.futures
import json
import os
import re
import subprocess
import threading
import time

import measure
import noise
import systems
import test_ovpn_load
import topology
from ovpn_stock import StockServer
from poll import until

PARALLEL = 8
CROWD = "10.200.0.0/16"  # where the devices come from, an address each
FIRST = "10.200.0.1"
BURST = 800              # handshakes a second: from 1,000 on we take them for a flood, and cookies are another matter
PATIENCE = 150           # seconds for all of them


def _keys(n):
    return [noise.new_key() for _ in range(n)]


def _file(lines):
    path = topology.temporary() / f"crowd-{time.monotonic_ns()}"
    path.write_text("".join(f"{a} {b}\n" for a, b in lines))
    path.chmod(0o600)
    return path


def wireguard_handshakes(ns, pids, server_key, devices, at_once, burst=BURST):
    """devices: [(private key, pre-shared key)], each from an address of its own in ns. burst: how many begin in a second, 0:
    as many as it takes. CPU is without what the server takes when nothing happens."""
    sock = ns.socket()
    file = _file(devices)
    idle = measure.idle_share(pids)
    with sock, measure.Meter(pids) as m:
        out = subprocess.run([measure.PROGRAMS / "handshakes", str(sock.fileno()), topology.SERVER4, "51820", server_key, FIRST,
                              str(at_once), file, str(burst)], pass_fds=[sock.fileno()], stdout=subprocess.PIPE, check=True,
                             timeout=PATIENCE).stdout
    file.unlink()
    said = json.loads(out)
    assert said["done"] > 0, said
    return {**said, "per_second": said["done"] / said["seconds"], "cpu_ms": (m.cpu - idle * m.wall) / said["done"] * 1000}


def openvpn_handshakes(net, pids, profiles, at_once=16):
    """One profile for each client."""
    folder = topology.temporary() / f"profiles-{time.monotonic_ns()}"
    folder.mkdir()
    for i, profile in enumerate(profiles):
        (folder / f"{i}.ovpn").write_text(profile)
    test_ovpn_load.program()  # compiled before anything is timed
    idle = measure.idle_share(pids)
    with measure.Meter(pids) as m:
        load = test_ovpn_load.Load(net.client(), folder, at_once=at_once)
        late = threading.Timer(PATIENCE, load.process.kill)
        late.start()
        try:
            said = load.connected()
        finally:
            late.cancel()
            load.kill()
    assert said["sessions"] > 0, said
    return {**said, "per_second": said["sessions"] / said["seconds"],
            "cpu_ms": (m.cpu - idle * m.wall) / said["sessions"] * 1000}


# ---- ours ----

class Crowd:
    """Devices with WireGuard credentials whose private keys are here."""

    def __init__(self, pair):
        self.pair, self.users = pair, [pair.user(f"crowd-{i}") for i in range(10)]
        self.devices, self.server_key = [], None

    def _provision(self, number, key):
        device = self.pair.device(self.users[number % 10], f"crowd-{number}")
        profile = self.pair.credential(device, public_key=key[1])["profile"]
        psk = re.search(r"^PresharedKey\s*=\s*(\S+)", profile, re.M)
        self.server_key = self.server_key or re.search(r"^PublicKey\s*=\s*(\S+)", profile, re.M).group(1)
        return key[0], psk.group(1) if psk else "A" * 43 + "="

    def grow(self, n):
        """Returns: how many were provisioned in a second."""
        began, have = time.monotonic(), len(self.devices)
        keys = _keys(n - have)
        with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
            self.devices += pool.map(self._provision, range(have, n), keys)
        return (n - have) / (time.monotonic() - began)


def _memory(pair):
    return {"dataplane": measure.memory_kb([pair.dataplane.pid]),
            "controlplane": measure.memory_kb([pair.controlplane.pid])}


def _synchronise(pair):
    """Seconds from the start of a new dataplane to the word that everything is there."""
    pair.dataplane.kill()
    until(lambda: pair.anonymous.request("GET", "/readyz").status == 503, 5, "not ready without a dataplane")
    began = time.monotonic()
    pair.dataplane.start()
    pair.wait_ready(60)
    return time.monotonic() - began


def _generator(stand, name):
    """(pair, system): daemons with the generator as their only peer."""
    net = stand.net()
    pair = systems.ireko(stand, net)
    profile = pair.provision("generator")[2]["profile"]
    return pair, systems.knocked(name, net, lambda: systems.ireko_pids(pair), "ireko0", profile, 51820)


def _less(figures, share):
    """Without what goes on all the time: statistics of every peer are taken each second, not with each packet."""
    for f in figures.values():
        f["cpu_ns"] -= share * 1e9 / f["pps"]
    return figures


def _beside(result, state, crowd, single, packets):
    """What a packet costs with many peers and with one, in turn (A B B A), all on one CPU."""
    everywhere = os.sched_getaffinity(0)
    rows = {state: crowd, f"single beside {state}": single}
    for system in rows.values():
        measure.pin(system.pids(), {min(everywhere)})
    try:
        shares = {name: measure.idle_share(system.pids()) for name, system in rows.items()}
        result["idle_ms_s"].update({name: share * 1000 for name, share in shares.items()})
        for number in range(4):
            for name, system in rows.items() if number % 2 == 0 else reversed(rows.items()):
                figures = _less(measure.saturate(system, 1420, packets), shares[name])
                result["saturated"].setdefault(name, []).append(figures)
    finally:
        for system in rows.values():
            measure.pin(system.pids(), everywhere)


def _shake(result, key, *args):
    result[key] = wireguard_handshakes(*args)


def _openvpn(result, pair, net, clients):
    user = pair.user("openvpn")
    profiles = [pair.credential(pair.device(user, f"openvpn-{i}"), "openvpn")["profile"] for i in range(clients)]
    result["openvpn"] = openvpn_handshakes(net, systems.ireko_pids(pair), profiles)


def _grown(result, crowd, pair, n):
    rate = crowd.grow(n)
    if n > 100:
        result["provisioned_per_second"] = rate
    result["memory_kb"][n] = _memory(pair)


def ours(result, do, sizes, at_once, openvpn, packets):
    result.update(memory_kb={}, saturated={}, idle_ms_s={}, peers=sizes)
    with systems.Stand() as stand:
        pair, system = _generator(stand, "ireko")
        alone, single = _generator(stand, "ireko, one peer")
        crowd, net = Crowd(pair), system.net
        # What traffic needs once is there before peers are counted.
        do("a first load", measure.saturate, system, 1420, packets)
        for n in sizes:
            do(f"{n} peers", _grown, result, crowd, pair, n)
        do("a packet with idle peers", _beside, result, "idle", system, single, packets)
        result["memory_loaded_kb"] = do("memory with one peer", _memory, alone)
        result["synchronise_s"] = do("a new dataplane", _synchronise, pair)
        result["memory_synchronised_kb"] = do("memory", _memory, pair)
        ns = net.elsewhere(CROWD)
        for key, burst in (("wireguard", BURST), ("wireguard_flood", 0)):
            do(f"handshakes, {burst or 'as many as it takes'} a second", _shake, result, key, ns, systems.ireko_pids(pair),
               crowd.server_key, crowd.devices, at_once, burst)
        result["memory_connected_kb"] = do("memory", _memory, pair)
        do("a packet with connected peers", _beside, result, "connected", system, single, packets)
        do("OpenVPN handshakes", _openvpn, result, pair, net, openvpn)


# ---- stock ----

def _set_peers(result, server, keys):
    server.set_peers(keys)
    result["memory_kb"][len(keys)] = measure.memory_kb([server.process.pid])


def wireguard_go(result, do, sizes, at_once):
    result.update(memory_kb={}, peers=sizes)
    keys = _keys(sizes[-1])
    with systems.Stand() as stand:
        net = stand.net()
        server = stand.own(systems.WireguardGo(net, keys[:1]), lambda s: s.remove())
        for n in sizes:
            do(f"{n} peers", _set_peers, result, server, keys[:n])
        do("handshakes", _shake, result, "wireguard", net.elsewhere(CROWD), [server.process.pid], server.public,
           [(k, "A" * 43 + "=") for k, _ in keys], at_once)
        result["memory_connected_kb"] = do("memory", measure.memory_kb, [server.process.pid])


def _stock_handshakes(result, net, server, clients):
    result["openvpn"] = openvpn_handshakes(net, [server.process.pid], [server.profile()] * clients)
    result["memory_kb"][clients] = server.rss_kb()


def openvpn(result, do, clients):
    result["memory_kb"] = {}
    with systems.Stand() as stand:
        net = stand.net()
        server = stand.own(StockServer(net), lambda s: s.remove())
        result["memory_kb"][0] = server.rss_kb()
        do("handshakes", _stock_handshakes, result, net, server, clients)
