"""Both libraries that seal and open packets: forced, shown, and good enough for stock clients of every cipher."""
import platform

import pytest

import kinds
import topology
import traffic

LIBRARIES = ["openssl"] + (["ipsec-mb"] if platform.machine() == "x86_64" else [])
SIZE = 20 * 10**6
LINKS = [("CHACHA20-POLY1305", kinds.WIREGUARD, {}), ("AES-256-GCM", kinds.UDP, {}),
         ("AES-128-GCM", kinds.TCP, {"options": ["--data-ciphers", "AES-128-GCM"]}),
         ("CHACHA20-POLY1305", kinds.UDP, {"options": ["--data-ciphers", "CHACHA20-POLY1305"]})]


@pytest.mark.parametrize("library", LIBRARIES)
def test_forced(gateway, library):
    g = gateway(env={"IREKO_AEAD": library})
    assert set(g.status()["dataplane"]["aead"].values()) == {library}
    assert f"AES-256-GCM: {library}" in g.dataplane.text()
    web = g.own(traffic.WebServer(g.net.internet, SIZE))
    for n, (cipher, kind, extra) in enumerate(LINKS):
        device, tunnel = g.connected(f"link-{n}", kind, **extra)
        assert tunnel.ping(topology.INTERNET6, count=3), "IPv6 passes as well, from the first packet"
        assert traffic.download(tunnel.ns) == (SIZE, web.sha256)
        assert traffic.upload(tunnel.ns, web.file) == web.sha256
        assert g.session_of(device)["cipher"] == cipher
        tunnel.remove()
    assert g.drops()["bad_tag"] == 0


def test_auto_measures(gateway):
    """The faster one by the log's own figures; without a second library there is nothing to measure."""
    g = gateway()
    chosen = g.status()["dataplane"]["aead"]
    lines = [line for line in g.dataplane.text().splitlines() if " ns a packet" in line]
    assert len(lines) == (3 if len(LIBRARIES) > 1 else 0)
    for line in lines:
        cipher = next(c for c in chosen if f"{c}: " in line)
        figures = {name: int(line.split(f"{name} ")[-1].split()[0]) for name in LIBRARIES}
        assert f"{cipher}: {chosen[cipher]}:" in line and figures[chosen[cipher]] == min(figures.values())
