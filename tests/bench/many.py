"""Many peers: memory, handshakes, synchronisation. Ours with both protocols, Debian's wireguard-go and openvpn beside it."""
import concurrent.futures
import json
import os
import re
import subprocess
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


def _keys(n):
    return [noise.new_key() for _ in range(n)]


def _file(lines):
    path = topology.temporary() / f"crowd-{time.monotonic_ns()}"
    path.write_text("".join(f"{a} {b}\n" for a, b in lines))
    path.chmod(0o600)
    return path


def wireguard_handshakes(net, pids, server_key, devices, at_once):
    """devices: [(private key, pre-shared key)], each from an address of its own."""
    ns = net.elsewhere(CROWD)
    sock = ns.socket()
    file = _file(devices)
    with sock, measure.Meter(pids) as m:
        out = subprocess.run([measure.PROGRAMS / "handshakes", str(sock.fileno()), topology.SERVER4, "51820", server_key, FIRST,
                              str(at_once), file], pass_fds=[sock.fileno()], stdout=subprocess.PIPE, check=True, timeout=300).stdout
    file.unlink()
    said = json.loads(out)
    assert said["done"] > 0, said
    return {**said, "per_second": said["done"] / said["seconds"], "cpu_ms": m.cpu / said["done"] * 1000}


def openvpn_handshakes(net, pids, profiles, at_once=16):
    """One profile for each client."""
    folder = topology.temporary() / f"profiles-{time.monotonic_ns()}"
    folder.mkdir()
    for i, profile in enumerate(profiles):
        (folder / f"{i}.ovpn").write_text(profile)
    with measure.Meter(pids) as m:
        load = test_ovpn_load.Load(net.client(), folder, at_once=at_once)
        said = load.connected()
    load.kill()
    assert said["sessions"] > 0, said
    return {**said, "per_second": said["sessions"] / said["seconds"], "cpu_ms": m.cpu / said["sessions"] * 1000}


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
        """Until there are n. Returns: devices provisioned a second."""
        have, began = len(self.devices), time.monotonic()
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


def _saturated(generator, packets):
    """What a packet costs with the peers that there are now: three runs on one CPU."""
    everywhere = os.sched_getaffinity(0)
    measure.pin(generator.pids(), {min(everywhere)})
    try:
        return [measure.saturate(generator, 1420, packets) for _ in range(3)]
    finally:
        measure.pin(generator.pids(), everywhere)


def ours(sizes, at_once, openvpn, packets):
    result = {"memory_kb": {}, "saturated": {}, "peers": sizes}
    with systems.Stand() as stand:
        net = stand.net()
        pair = systems.ireko(stand, net)
        crowd = Crowd(pair)
        profile = pair.provision("generator")[2]["profile"]
        generator = systems.knocked("ireko", net, lambda: systems.ireko_pids(pair), "ireko0", profile, 51820)
        for n in sizes:
            result["provisioned_per_second"] = crowd.grow(n)
            if n == sizes[0]:  # what traffic needs once is there then
                result["saturated"][n] = _saturated(generator, packets)
            result["memory_kb"][n] = _memory(pair)
        result["saturated"][n] = _saturated(generator, packets)
        result["synchronise_s"] = _synchronise(pair)
        result["memory_synchronised_kb"] = _memory(pair)
        pids = systems.ireko_pids(pair)
        result["wireguard"] = wireguard_handshakes(net, pids, crowd.server_key, crowd.devices, at_once)
        result["memory_connected_kb"] = _memory(pair)
        user = pair.user("openvpn")
        profiles = [pair.credential(pair.device(user, f"openvpn-{i}"), "openvpn")["profile"] for i in range(openvpn)]
        result["openvpn"] = openvpn_handshakes(net, pids, profiles)
    return result


# ---- stock ----

def wireguard_go(sizes, at_once):
    result = {"memory_kb": {}, "peers": sizes}
    keys = _keys(sizes[-1])
    with systems.Stand() as stand:
        net = stand.net()
        server = stand.own(systems.WireguardGo(net, keys[:1]), lambda s: s.remove())
        pids = [server.process.pid]
        for n in sizes:
            server.set_peers(keys[:n])
            result["memory_kb"][n] = measure.memory_kb(pids)
        result["wireguard"] = wireguard_handshakes(net, pids, server.public, [(k, "A" * 43 + "=") for k, _ in keys], at_once)
        result["memory_connected_kb"] = measure.memory_kb(pids)
    return result


def openvpn(clients):
    with systems.Stand() as stand:
        net = stand.net()
        server = stand.own(StockServer(net), lambda s: s.remove())
        idle = server.rss_kb()
        shaken = openvpn_handshakes(net, [server.process.pid], [server.profile()] * clients)
        return {"openvpn": shaken, "memory_kb": {0: idle, clients: server.rss_kb()}}
