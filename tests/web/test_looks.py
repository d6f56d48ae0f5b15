"""Every page at 1440 and 390 pixels, light and dark: into build/screenshots, to be looked at; nothing sticks out, and
axe-core finds nothing serious."""
import pytest

from browser import PHONE, WIDE
from daemons import ROOT
from places import furnish

PICTURES = ROOT / "build/screenshots"
SERIOUS = ("serious", "critical")
AXE = """await page.evaluate(require('axe-core').source);
    const found = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
    return found.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.html.slice(0, 200) + ' ' + (n.any[0]?.message ?? '')).slice(0, 4)]);"""
# All of it, in a window that is as high: what is fixed to the window's edge does not cross the picture.
PICTURE = """const was = page.viewportSize();
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.setViewportSize({ width: was.width, height: Math.max(height, was.height) });
    await page.screenshot({ path: arg });
    await page.setViewportSize(was);"""


@pytest.fixture(scope="module")
def furnished(served):
    credentials, places = furnish(served)
    clients = [served.client(c) for c in credentials]
    served.stream(clients[0], rate=300).wait_flowing()
    return places


def look(page, name, places=None):
    """One picture; what is wrong with it."""
    if places is not None:
        page.goto(places[name])
    page.settle()
    if name in ("overview", "device"):
        page.run("await page.getByRole('img', { name: /devices? now [1-9]/ }).first().waitFor()")
        page.misses("Nothing moves right now")
    size = page.run("return page.viewportSize().width")
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.run(PICTURE, f"{PICTURES}/{name}-{size}-{page.scheme}.png")
    wrong = [f"{name} at {size}, {page.scheme}: {rule}: {nodes}" for impact, rule, nodes in page.run(AXE, seconds=60) if impact in SERIOUS]
    try:
        page.fits()
    except AssertionError as e:
        wrong.append(f"{name} at {size}, {page.scheme}: {e}")
    return wrong


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["1440", "390"])
def test_every_page(served, browser, furnished, viewport, scheme):
    page = browser.open(viewport, scheme)
    page.scheme = scheme
    page.excuse("404")
    wrong = look(page.goto(), "sign-in")
    page.sign_in()
    for name in furnished:
        wrong += look(page, name, furnished)
    device = next(d for d in served.api.all("/v1/devices") if d["name"] == "phone")
    url = served.api.post(f"/v1/devices/{device['id']}/invites", {"protocol": "wireguard"})["url"]
    page.run("await page.goto(arg)", url)
    wrong += look(page, "invite")
    page.run("await page.getByRole('button').click(); await page.getByRole('link').waitFor()")
    wrong += look(page, "invite-opened")
    assert not wrong, "\n".join(wrong)


def test_small_phones(served, browser, furnished):
    """360 pixels, and 200 % of text: nothing sticks out."""
    page = browser.open({"width": 360, "height": 640})
    page.excuse("404")
    page.sign_in()
    for place in furnished.values():
        page.goto(place).settle().fits()
