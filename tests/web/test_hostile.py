"""50 names that want to be something else, in every field that keeps text: no dialog, nothing that the policy had to refuse,
nothing that sticks out, and each is to be read as it is. (What is wrong on a page fails the fixture `browser`.)"""
import pytest

from browser import HANDS, PHONE, WIDE

NAMES = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "<iframe srcdoc='<script>alert(1)</script>'>",
    "javascript:alert(1)", "<a href=javascript:alert(1)>x</a>", "' onmouseover='alert(1)", "\" autofocus onfocus=\"alert(1)",
    "<style>*{display:none}</style>", "<base href=//evil.test>", "<meta http-equiv=refresh content=0>", "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>", "--><script>alert(1)</script>", "<!--", "]]>", "<math><mi xlink:href=x>", "<form action=//evil.test>",
    "{{7*7}}", "${alert(1)}", "#{alert(1)}", "`alert(1)`", "%3Cscript%3Ealert(1)%3C/script%3E", "&lt;b&gt;", "&amp;amp;", "\\u003cscript\\u003e",
    "__proto__", "constructor", "toString", "null", "undefined", "NaN", "true", "0", "-1", "[object Object]", "../../etc/passwd", "..", "/",
    "#/settings", "?a=b&c=d", "x" * 64, "W" * 64, "入れ子" * 12, "🔑" * 15, "Z" + "\u0335" * 12 + "algo", "שלום עולם", "مرحبا", "a b  c", "\\"]
assert len(set(NAMES)) == 50


@pytest.fixture(scope="module")
def haunted(served):
    """Each name in every field that takes it, by the API: (kept, users, devices)."""
    kept, users, devices = set(), [], []
    for i, name in enumerate(NAMES):
        fields = {"name": name, "display_name": name, "email": f"{i}@{name}"}
        while True:
            a = served.request("POST", "/v1/users", fields)
            if a.status == 201:
                break
            assert a.status == 422, a
            for e in a.json["errors"]:
                fields.pop(e["field"])
            fields.setdefault("name", f"ghost-{i}")
        user = a.json
        users.append(user)
        for path, body in (("/v1/devices", {"user_id": user["id"]}), ("/v1/tokens", {})):
            a = served.request("POST", path, {**body, "name": name})
            assert a.status in (201, 422), a
            if a.status == 201 and path == "/v1/devices":
                devices.append(a.json)
                kept.add(name)
    assert len(kept) >= 35, f"only {len(kept)} of them are names at all"
    return kept, users, devices


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["1440", "390"])
def test_on_every_page(served, browser, haunted, viewport):
    kept, users, devices = haunted
    page = browser.open(viewport).sign_in()
    for place in ("#/", "#/devices", "#/users", "#/tokens", "#/audit", "#/settings"):
        page.goto(place).settle().fits()
    for i in range(0, len(devices), 6):
        page.goto(f"#/devices/{devices[i]['id']}").settle().fits()
        heading = page.run("return await page.getByRole('heading', { level: 1 }).first().textContent()")
        assert devices[i]["name"].strip() in heading, (heading, devices[i]["name"])
        assert page.run("return await page.title()").strip()
    for user in users[::10]:
        page.goto(f"#/users/{user['id']}").settle().fits()


def test_as_they_are_typed(served, browser, haunted):
    """Into every field of the guided way, and into the search."""
    page = browser.open(PHONE).sign_in()
    page.excuse("422", "409")
    hand = HANDS["mouse"](page)
    for name in NAMES[:6] + NAMES[-8:-4]:
        page.goto("#/devices/new").has("heading", "Add a device")
        hand.write("User", name)
        hand.write("Device name", name)
        hand.press("button", "Add device")
        page.run("await page.getByRole('alert').or(page.getByText('shown once')).or(page.locator('[aria-invalid=true]')).first().waitFor()")
        page.fits()
        page.run("await page.evaluate(() => { location.hash = '#/devices' })")
        page.run("await page.getByRole('searchbox').first().fill(arg)", name)
        page.fits()
