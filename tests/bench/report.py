"""Results to text: medians with their ranges, and ratios of the same round."""
import statistics

TCP = [f"tcp {n} {way}" for n in (1, 8) for way in ("up", "down")]
SMALL = ["small up", "small down"]


def each(rounds, *path):
    """The figure at that path in each round, None where there is none."""
    found = []
    for r in rounds:
        for key in path:
            r = r.get(key) if r else None
        found.append(r)
    return found


def of(rounds, *path):
    """The figure at that path in each round that has it."""
    return [v for v in each(rounds, *path) if v is not None]


def median(values):
    return statistics.median(values) if values else None


def spread(values, form="{:.2f}"):
    if not values:
        return "-"
    text = form.format(median(values))
    return text if len(values) == 1 else f"{text} ({form.format(min(values))}..{form.format(max(values))})"


def ratio(ours, theirs):
    """Median of the quotients of each round; None when no round has both."""
    return median([a / b for a, b in zip(ours, theirs) if a is not None and b])


def table(title, head, rows):
    widths = [max(len(str(row[i])) for row in [head] + rows) for i in range(len(head))]
    lines = [title, "  ".join(str(c).ljust(w) for c, w in zip(head, widths)).rstrip(),
             "  ".join("-" * w for w in widths)]
    lines += ["  ".join(str(c).ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


def quotient(part, name, against, form, *path):
    """By the stock system; nothing when there is none."""
    x = ratio(each(part[name], *path), each(part.get(against.get(name), []), *path))
    return "" if x is None else form.format(x)


def _matrix(title, part, tests, path, form, against):
    """A row for each system, a column for each test; behind ours the quotient by the stock system's."""
    rows = []
    for name, rounds in part.items():
        row = [name]
        for test in tests:
            row.append(spread(of(rounds, test, *path), form) + quotient(part, name, against, " x{:.2f}", test, *path))
        rows.append(row)
    return table(title, ["", *tests], rows)


def stock(part, against):
    text = [
        _matrix("Server's CPU-seconds per GiB of inner TCP", part, TCP, ["cpu_s_gib"], "{:.2f}", against),
        _matrix("Throughput, Mbit/s", part, TCP, ["mbit"], "{:.0f}", against),
        _matrix("The whole machine's CPU-seconds per GiB (both ends and the kernel's own)", part, TCP, ["busy_s_gib"], "{:.2f}",
                against),
        _matrix("Small packets: server's CPU, ns each", part, SMALL, ["cpu_ns"], "{:.0f}", against),
        _matrix("Small packets that came through, each second", part, SMALL, ["pps"], "{:.0f}", against),
        _matrix("Ping, median, ms", part, ["ping"], ["median_ms"], "{:.3f}", against),
        _matrix("Of it in the server and behind it, median, ms; the rest is the client's and ping's own", part, ["ping"], ["server_ms"],
                "{:.3f}", against),
        _matrix("Ping while 8 streams run, median, ms", part, TCP[2:], ["ping", "median_ms"], "{:.2f}", against),
    ]
    rows = [[name, spread([kb[0] for kb in of(rounds, "rss_kb")], "{:.0f}"),
             spread([sum(kb) for kb in of(rounds, "rss_kb")], "{:.0f}")] for name, rounds in part.items()]
    text.append(table("Resident after each round, kB (ours is one pair of daemons for all of its clients)",
                      ["", "dataplane or server", "all processes"], rows))
    return "\n".join(text)


CIPHERS = {"ireko WireGuard": "wireguard", "ireko OpenVPN AES-256-GCM": "openvpn AES-256-GCM",
           "ireko OpenVPN CHACHA20": "openvpn CHACHA20-POLY1305", "ireko OpenVPN TCP": "openvpn AES-256-GCM"}


def cipher_ns(forward, name, direction, size):
    """What the cipher alone takes in the same process, from forward.c; None when that part did not run."""
    return next((line["median"] for line in forward or []
                 if (line["protocol"], line["stage"], line["bytes"]) == (CIPHERS.get(name.split(",")[0]), direction, size)), None)


def saturation(part, forward, against):
    text = []
    for size, systems in part.items():
        rows = []
        for name, rounds in systems.items():
            for direction in ("open", "seal"):
                ns = median(of(rounds, direction, "cpu_ns"))
                cipher = cipher_ns(forward, name, direction, int(size))
                known = cipher and ns
                rows.append([f"{name}, {direction}", spread(of(rounds, direction, "cpu_ns"), "{:.0f}"),
                             quotient(systems, name, against, "x{:.2f}", direction, "cpu_ns"),
                             f"{cipher:.0f} ({cipher / ns * 100:.0f} %)" if known else "",
                             f"{ns - cipher:.0f} ({(1 - cipher / ns) * 100:.0f} %)" if known else "",
                             spread(of(rounds, direction, "pps"), "{:.0f}"),
                             spread([v * 100 for v in of(rounds, direction, "lost")], "{:.2f}")])
        text.append(table(f"Saturated, {size} inner bytes: server's CPU, ns a packet (one CPU of its own)",
                          ["", "ns", "of stock", "the cipher alone", "the rest", "packets/s", "lost, %"], rows))
    return "\n".join(text)


def each_peer(memory_kb):
    """Bytes that a peer adds, from the least to the greatest number of them: [(whose, bytes)]."""
    (few, first), *_, (most, last) = sorted((int(n), kb) for n, kb in memory_kb.items())
    of_kind = lambda kb: kb if isinstance(kb, dict) else {"server": kb}
    return [(who, (of_kind(last)[who] - kb) * 1024 / (most - few)) for who, kb in of_kind(first).items()]


def _kb(kb):
    return f"{kb['dataplane']} kB dataplane, {kb['controlplane']} kB control plane" if isinstance(kb, dict) else f"{kb} kB"


def _handshakes(h):
    text = f"{h['per_second']:.0f} a second, {h['cpu_ms']:.3f} ms of CPU each, {h['failed']} failed"
    return text + (f", {h['cookies']} cookies" if h.get("cookies") else "")


def _crowd(r):
    """[(what, figure)] of one system."""
    for n, kb in r.get("memory_kb", {}).items():
        yield f"resident with {n} peers", _kb(kb)
    if len(r.get("memory_kb", {})) > 1:
        yield "that is a peer", ", ".join(f"{n:.0f} bytes {who}" for who, n in each_peer(r["memory_kb"]))
    for key, what in (("memory_connected_kb", "resident, all connected"), ("memory_loaded_kb", "resident, one peer, after load")):
        if r.get(key):
            yield what, _kb(r[key])
    for what, runs in r.get("saturated", {}).items():
        yield f"saturated, {what}", ", ".join(f"{way} {spread(of(runs, way, 'cpu_ns'), '{:.0f}')} ns" for way in ("open", "seal"))
    for what, ms in r.get("idle_ms_s", {}).items():
        yield f"when nothing happens, {what}", f"{ms:.1f} ms of CPU a second"
    if r.get("synchronise_s"):
        yield f"new dataplane with {r['peers'][-1]} peers", f"ready after {r['synchronise_s']:.2f} s"
    if r.get("provisioned_per_second"):
        yield "provisioned over REST", f"{r['provisioned_per_second']:.0f} devices a second"
    for key, what in (("wireguard", "wireguard handshakes"), ("wireguard_flood", "  as many as it takes"),
                      ("openvpn", "openvpn handshakes")):
        if r.get(key):
            yield what, _handshakes(r[key])


def many(part):
    return table("Many peers", ["", "", ""], [[name, *row] for name, r in part.items() if r for row in _crowd(r)])


def forward(lines):
    """A column for each protocol and size; what fwd_rx and fwd_tx take beyond their stages is the rest."""
    columns = list(dict.fromkeys((line["protocol"], line["bytes"]) for line in lines))
    at = {(line["protocol"], line["bytes"], line["stage"], line["part"]): line["median"] for line in lines}
    stages = list(dict.fromkeys((line["stage"], line["part"]) for line in lines))
    rows = []
    for stage, part in stages:
        rows.append([stage, part] + [f"{at[(*c, stage, part)]:.1f}" for c in columns])
        if part == "whole":
            inside = "rx" if stage == "fwd_rx" else "tx"
            rest = [at[(*c, stage, part)] - sum(v for (p, b, _, q), v in at.items() if (p, b) == c and q == inside) for c in columns]
            rows.append(["  not in a stage", inside] + [f"{v:.1f}" for v in rest])
    return table("In the process, ns a packet (medians)", ["stage", "part of"] + [f"{p} {b}" for p, b in columns], rows)
