"""Results to text: medians with their ranges, and ratios of the same round."""
import statistics

TCP = [f"tcp {n} {way}" for n in (1, 8) for way in ("up", "down")]
SMALL = ["small up", "small down"]


def of(rounds, *path):
    """The figure at that path in each round that has it."""
    found = []
    for r in rounds:
        for key in path:
            r = r.get(key) if r else None
        if r is not None:
            found.append(r)
    return found


def median(values):
    return statistics.median(values) if values else None


def spread(values, form="{:.2f}"):
    if not values:
        return "-"
    text = form.format(median(values))
    return text if len(values) == 1 else f"{text} ({form.format(min(values))}..{form.format(max(values))})"


def ratio(ours, theirs):
    """Median of the quotients of each round."""
    return median([a / b for a, b in zip(ours, theirs) if b])


def table(title, head, rows):
    widths = [max(len(str(row[i])) for row in [head] + rows) for i in range(len(head))]
    lines = [title, "  ".join(str(c).ljust(w) for c, w in zip(head, widths)).rstrip(),
             "  ".join("-" * w for w in widths)]
    lines += ["  ".join(str(c).ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


def _matrix(title, part, tests, path, form, against):
    """A row for each system, a column for each test; behind ours the quotient by the stock system's."""
    rows = []
    for name, rounds in part.items():
        row = [name]
        for test in tests:
            mine = of(rounds, test, *path)
            cell = spread(mine, form)
            other = of(part.get(against.get(name), []), test, *path)
            if mine and other:
                cell += f" x{ratio(mine, other):.2f}"
            row.append(cell)
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
        _matrix("Ping while 8 streams run, median, ms", part, TCP[2:], ["ping", "median_ms"], "{:.2f}", against),
    ]
    rows = [[name, spread([kb[0] for kb in of(rounds, "rss_kb")], "{:.0f}"),
             spread([sum(kb) for kb in of(rounds, "rss_kb")], "{:.0f}")] for name, rounds in part.items()]
    text.append(table("Resident after each round, kB (ours is one pair of daemons for all of its clients)",
                      ["", "dataplane or server", "all processes"], rows))
    return "\n".join(text)


CIPHERS = {"ireko WireGuard": "wireguard", "ireko OpenVPN AES-256-GCM": "openvpn AES-256-GCM"}


def cipher_ns(forward, name, direction, size):
    """What the cipher alone takes in the same process, from forward.c; None when that part did not run."""
    return next((line["median"] for line in forward or []
                 if (line["protocol"], line["stage"], line["bytes"]) == (CIPHERS.get(name), direction, size)), None)


def saturation(part, forward, against):
    text = []
    for size, systems in part.items():
        rows = []
        for name, rounds in systems.items():
            for direction in ("open", "seal"):
                ns = of(rounds, direction, "cpu_ns")
                other = of(systems.get(against.get(name), []), direction, "cpu_ns")
                cipher = cipher_ns(forward, name, direction, int(size))
                rows.append([f"{name}, {direction}", spread(ns, "{:.0f}"), f"x{ratio(ns, other):.2f}" if ns and other else "",
                             f"{cipher:.0f} ({cipher / median(ns) * 100:.0f} %)" if cipher else "",
                             spread(of(rounds, direction, "pps"), "{:.0f}"),
                             spread([v * 100 for v in of(rounds, direction, "lost")], "{:.2f}")])
        text.append(table(f"Saturated, {size} inner bytes: server's CPU, ns a packet (one CPU of its own)",
                          ["", "ns", "of stock", "cipher alone, ns", "packets/s", "lost, %"], rows))
    return "\n".join(text)


def each_peer(memory_kb):
    """Bytes that a peer adds, from the least to the greatest number of them: [(whose, bytes)]."""
    (few, first), *_, (most, last) = sorted((int(n), kb) for n, kb in memory_kb.items())
    of_kind = lambda kb: kb if isinstance(kb, dict) else {"server": kb}
    return [(who, (of_kind(last)[who] - kb) * 1024 / (most - few)) for who, kb in of_kind(first).items()]


def many(part):
    rows = []
    for name, r in part.items():
        for n, kb in r.get("memory_kb", {}).items():
            rows.append([name, f"resident with {n} peers", f"{kb['dataplane']} kB dataplane, {kb['controlplane']} kB control plane"
                         if isinstance(kb, dict) else f"{kb} kB"])
        if len(r.get("memory_kb", {})) > 1:
            rows.append([name, "that is a peer", ", ".join(f"{n:.0f} bytes {who}" for who, n in each_peer(r["memory_kb"]))])
        after = r.get("memory_connected_kb")
        if after:
            rows.append([name, "and all connected", f"{after['dataplane']} kB dataplane, {after['controlplane']} kB control plane"
                         if isinstance(after, dict) else f"{after} kB"])
        for n, runs in r.get("saturated", {}).items():
            rows.append([name, f"saturated with {n} peers", ", ".join(
                f"{way} {spread(of(runs, way, 'cpu_ns'), '{:.0f}')} ns" for way in ("open", "seal"))])
        if "synchronise_s" in r:
            rows.append([name, f"new dataplane with {r['peers'][-1]} peers", f"ready after {r['synchronise_s']:.2f} s"])
            rows.append([name, "provisioned over REST", f"{r['provisioned_per_second']:.0f} devices a second"])
        for protocol in ("wireguard", "openvpn"):
            if protocol in r:
                h = r[protocol]
                rows.append([name, f"{protocol} handshakes", f"{h['per_second']:.0f} a second, {h['cpu_ms']:.3f} ms of CPU each, "
                             f"{h['failed']} failed" + (f", {h['cookies']} cookies" if "cookies" in h else "")])
    return table("Many peers", ["", "", ""], rows)


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
