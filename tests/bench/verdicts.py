"""What the service is to reach, beside what was measured. A target that is missed fails nothing: it is there to be
seen. Each line: (what, wanted, the figure as text, "met", "NOT MET" or "not measured")."""
import report

WG, GCM, CHACHA, TCP = "ireko WireGuard", "ireko OpenVPN AES-256-GCM", "ireko OpenVPN CHACHA20", "ireko OpenVPN TCP"
GO, STOCK_GCM = "wireguard-go", "openvpn AES-256-GCM"
SATURATED_NS = {WG: 1000, GCM: 600}                       # a packet of 1420 bytes, each direction
OF_STOCK = {WG: 1 / 3, GCM: 1 / 3, CHACHA: 1 / 3, TCP: 2 / 5}   # of its CPU-seconds per GiB
NAMED = {1 / 3: "1/3", 2 / 5: "2/5"}
SMALL = 1 / 3                                             # of the better of the two stock systems
PING_MS = 0.25
PEER_BYTES, RESIDENT_KB = 2048, 16 * 1024
AS_FAST = 1.03                                            # "no slower", as far as runs agree
HANDSHAKE_MS = {"wireguard": 0.2, "openvpn": 2.0}


def line(what, figure, limit, form, wanted=None, least=False):
    """form: of both numbers. least: the limit is a lower one."""
    wanted = wanted or f"{'>=' if least else '<='} {form.format(limit)}"
    if figure is None:
        return what, wanted, "-", "not measured"
    return what, wanted, form.format(figure), "met" if (figure >= limit if least else figure <= limit) else "NOT MET"


def _ratio(ours, theirs, *path):
    return report.ratio(report.each(ours, *path), report.each(theirs, *path))


def saturation(results):
    rows = results.get("saturation", {}).get(1420) or results.get("saturation", {}).get("1420") or {}
    for name, limit in SATURATED_NS.items():
        for way in ("open", "seal"):
            ns = report.median(report.of(rows.get(name, []), way, "cpu_ns"))
            yield line(f"saturated, {name}, {way}, ns a packet of 1420 bytes", ns, limit, "{:.0f}")


def stock(results, against):
    part = results.get("stock", {})
    for name, limit in OF_STOCK.items():
        ours, theirs = part.get(name, []), part.get(against[name], [])
        for test in report.TCP:
            yield line(f"{test}, {name}, CPU beside {against[name]}", _ratio(ours, theirs, test, "cpu_s_gib"), limit, "x{:.2f}",
                       f"<= {NAMED[limit]}")
        for test in report.TCP:
            yield line(f"{test}, {name}, throughput beside {against[name]}", _ratio(ours, theirs, test, "mbit"), 1, "x{:.2f}",
                       least=True)


def small(results):
    part = results.get("stock", {})
    for test in report.SMALL:
        for name in (WG, GCM):
            ratios = [_ratio(part.get(name, []), part.get(other, []), test, "cpu_ns") for other in (GO, STOCK_GCM)]
            # The better one of them is the one beside which we look worse.
            figure = None if None in ratios else max(ratios)
            yield line(f"{test}, {name}, CPU a packet beside the better stock system", figure, SMALL, "x{:.2f}", "<= 1/3")


def ping(results):
    for name in OF_STOCK:
        yield line(f"ping through the idle tunnel, {name}, ms",
                   report.median(report.of(results.get("stock", {}).get(name, []), "ping", "median_ms")), PING_MS, "{:.3f}")


def crowd(results):
    ours = results.get("many", {}).get("ireko") or {}
    memory = ours.get("memory_kb") or {}
    each = dict(report.each_peer(memory)) if len(memory) > 1 else {}
    most = ours.get("peers", [10_000])[-1]
    yield line(f"bytes of an idle peer in the dataplane ({most} of them)", each.get("dataplane"), PEER_BYTES, "{:.0f}")
    yield line("kB resident, dataplane after a load run with one peer", (ours.get("memory_loaded_kb") or {}).get("dataplane"),
               RESIDENT_KB, "{:.0f}")
    for way in ("open", "seal"):
        for state in ("idle", "connected"):
            runs = ours.get("saturated", {})
            yield line(f"a packet with {most} {state} peers beside one with a single peer, {way}",
                       _ratio(runs.get(state, []), runs.get(f"single beside {state}", []), way, "cpu_ns"), AS_FAST, "x{:.2f}",
                       "no slower (x1.03)")
    for protocol, limit in HANDSHAKE_MS.items():
        yield line(f"CPU of a handshake, {protocol}, both daemons, ms", (ours.get(protocol) or {}).get("cpu_ms"), limit, "{:.3f}")


def of(results, against, whole):
    """For the parts that ran. whole: also what could have been measured and was not."""
    rows = []
    if "saturation" in results:
        rows += saturation(results)
    if "stock" in results:
        rows += [*stock(results, against), *small(results), *ping(results)]
    if "many" in results:
        rows += crowd(results)
    return [r for r in rows if whole or r[3] != "not measured"]


def text(rows):
    missed = sum(r[3] == "NOT MET" for r in rows)
    unknown = sum(r[3] == "not measured" for r in rows)
    head = f"Targets: {len(rows) - missed - unknown} met, {missed} not met, {unknown} not measured"
    return report.table(head, ["", "wanted", "measured", ""], [list(r) for r in rows])
