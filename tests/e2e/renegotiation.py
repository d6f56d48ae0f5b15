"""Streams through tunnels that renegotiate: nothing may be lost."""
import traffic
from poll import until

EVERY, ROUNDS = 20, 3


def run(g, tunnels, figure):
    """Streams through all tunnels until each has renegotiated ROUNDS times."""
    sessions = {name: until(lambda: g.session_of(device), 3, "session") for name, (device, _) in tunnels.items()}
    first = {name: tunnel.handshakes() for name, (_, tunnel) in tunnels.items()}
    streams = {name: g.stream(tunnel, rate=1000, port=traffic.STREAM_PORT + i).wait_flowing()
               for i, (name, (_, tunnel)) in enumerate(tunnels.items())}
    for name, (_, tunnel) in tunnels.items():
        until(lambda: tunnel.handshakes() >= first[name] + ROUNDS, (EVERY + 3) * ROUNDS, f"{name} renegotiates", every=0.5)
    # The last key is used half a period after its handshake began.
    for stream in streams.values():
        stream.wait_flowing(packets=12_000, seconds=30)
    for name, (device, tunnel) in tunnels.items():
        up, down = streams[name].stop()
        figure(f"{name}: up", up)
        figure(f"{name}: down", down)
        figure(f"{name}: renegotiations", tunnel.handshakes() - first[name])
        streams[name].nothing_lost(up, down, 60_000)
        assert tunnel.attempts() == 1 and tunnel.up() == 1, f"{name} stayed connected"
        now = g.session_of(device)
        assert now["id"] == sessions[name]["id"] and now["started_at"] == sessions[name]["started_at"]
        assert now["last_handshake_at"] > sessions[name]["last_handshake_at"]
