"""Results as one picture: bars with ranges, drawn as SVG by hand."""
from xml.sax.saxutils import escape

import report

WIDTH, LEFT, BAR, GAP, HEAD = 1000, 270, 16, 4, 44
ROOM = WIDTH - LEFT - 190
COLOURS = {"ireko": "#1f6f54", "wireguard-go": "#7d8597", "openvpn": "#b08968"}
TEXT = 'font-family="sans-serif" fill="#222"'


def colour(name):
    return next((c for begin, c in COLOURS.items() if name.startswith(begin)), "#888")


class Panel:
    """bars: [(label, values of the rounds, quotient or None)]."""

    def __init__(self, title, form, bars):
        self.title, self.form, self.bars = title, form, [b for b in bars if b[1]]

    def height(self):
        return HEAD + len(self.bars) * (BAR + GAP) + 14

    def draw(self, top):
        most = max(max(values) for _, values, _ in self.bars)
        out = [f'<text x="12" y="{top + 26}" font-size="15" font-weight="bold" {TEXT}>{escape(self.title)}</text>']
        for i, (label, values, quotient) in enumerate(self.bars):
            y, mid = top + HEAD + i * (BAR + GAP), report.median(values)
            scale = lambda v: v / most * ROOM
            middle = y + BAR / 2
            out += [f'<text x="{LEFT - 8}" y="{y + 12}" font-size="12" text-anchor="end" {TEXT}>{escape(label)}</text>',
                    f'<rect x="{LEFT}" y="{y}" width="{scale(mid):.1f}" height="{BAR}" fill="{colour(label)}"/>',
                    f'<path d="M{LEFT + scale(min(values)):.1f} {middle} H{LEFT + scale(max(values)):.1f}" stroke="#222"/>']
            text = self.form.format(mid) + (f"   ×{quotient:.2f}" if quotient else "")
            out.append(f'<text x="{LEFT + scale(max(values)) + 8:.1f}" y="{y + 12}" font-size="12" {TEXT}>{escape(text)}</text>')
        return "\n".join(out)


def _bars(part, path, against):
    bars = []
    for name, rounds in part.items():
        bars.append((name, report.of(rounds, *path),
                     report.ratio(report.each(rounds, *path), report.each(part.get(against.get(name), []), *path))))
    return bars


def panels(results, against):
    made = []
    stock = results.get("stock", {})
    for test in report.TCP:
        made.append(Panel(f"{test}: server's CPU-seconds per GiB (less is better)", "{:.2f}", _bars(stock, [test, "cpu_s_gib"], against)))
    for test in report.TCP[2:]:
        made.append(Panel(f"{test}: Mbit/s (more is better)", "{:.0f}", _bars(stock, [test, "mbit"], against)))
    for test in report.SMALL:
        made.append(Panel(f"{test}: server's CPU, ns a packet of 64 bytes (less is better)", "{:.0f}",
                          _bars(stock, [test, "cpu_ns"], against)))
    made.append(Panel("ping through the idle tunnel, ms (less is better)", "{:.3f}", _bars(stock, ["ping", "median_ms"], against)))
    for size, systems in results.get("saturation", {}).items():
        for direction in ("open", "seal"):
            made.append(Panel(f"saturated, {size} bytes, {direction}: server's CPU, ns a packet (less is better)", "{:.0f}",
                              _bars(systems, [direction, "cpu_ns"], against)))
    return [p for p in made if p.bars]


def draw(results, against, title):
    """The text of the picture; None when there is nothing to draw."""
    chosen = panels(results, against)
    if not chosen:
        return None
    y, body = 64, []
    for p in chosen:
        body.append(p.draw(y))
        y += p.height()
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">\n'
            f'<rect width="100%" height="100%" fill="white"/>\n'
            f'<text x="12" y="28" font-size="18" font-weight="bold" {TEXT}>{escape(title)}</text>\n'
            f'<text x="12" y="48" font-size="12" {TEXT}>bar: median of the rounds; line: from the least to the greatest; '
            f'×: quotient by the stock system in the same round</text>\n' + "\n".join(body) + "\n</svg>\n")
