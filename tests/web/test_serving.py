"""How the dashboard comes: which headers, which bytes, and how few of them."""
import gzip
import re

from contract import STANDING

MOST = 150_000  # bytes over the wire, all of it


def parts(page):
    return ["/"] + sorted(set(re.findall(r"(?:src|href)=\"?(/assets/[\w.-]+)", page)))


def test_every_part_in_both_forms(served, figure):
    ask = served.anonymous.request
    page = ask("GET", "/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    paths, wire = parts(page.body.decode()), 0
    assert {p.rsplit(".", 1)[-1] for p in paths} >= {"js", "css"}
    for path in paths:
        plain = ask("GET", path)
        packed = ask("GET", path, headers={"Accept-Encoding": "gzip, deflate, br, zstd"})
        assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body)
        wire += len(packed.body)
        assert packed.headers["Content-Encoding"] == "gzip" and plain.headers["Content-Encoding"] is None
        assert plain.headers["ETag"] != packed.headers["ETag"]
        for answer, accept in ((plain, {}), (packed, {"Accept-Encoding": "gzip"})):
            assert answer.status == 200 and {name: answer.headers[name] for name in STANDING} == STANDING
            assert answer.headers["Vary"] == "Accept-Encoding"
            kept = "no-cache" if path == "/" else "public, max-age=31536000, immutable"
            assert answer.headers["Cache-Control"] == kept
            head = ask("HEAD", path, headers=accept)
            assert head.status == 200 and not head.body
            assert all(head.headers[n] == answer.headers[n] for n in ("ETag", "Content-Length", "Content-Type", "Content-Encoding"))
            same = ask("GET", path, headers={**accept, "If-None-Match": answer.headers["ETag"]})
            assert same.status == 304 and not same.body and same.headers["ETag"] == answer.headers["ETag"]
            assert same.headers["Cache-Control"] == kept
    figure("dashboard over the wire", f"{wire} bytes in {len(paths)} files")
    assert wire <= MOST


def test_nothing_else_is_there(served):
    for path in ("/index.html", "/assets/", "/assets/none.js", "/assets/index.html", "/favicon.ico", "/ui", "/web/package.json"):
        a = served.anonymous.request("GET", path)
        assert a.status == 404 and a.headers["Content-Type"] == "application/problem+json", path
        assert a.headers["Cache-Control"] == "no-store"
    assert served.anonymous.request("POST", "/").status == 405


def test_nothing_in_it_comes_from_elsewhere(served):
    """No address of another host stands in what is served, but names of XML's and the like."""
    page = served.anonymous.request("GET", "/").body.decode()
    for path in parts(page):
        text = served.anonymous.request("GET", path).body.decode()
        hosts = set(re.findall(r"(?:https?:)?//([\w-]+(?:\.[\w-]+)+)", text)) - {"www.w3.org"}
        assert not hosts, f"{path}: {hosts}"
        assert "sourceMappingURL" not in text
