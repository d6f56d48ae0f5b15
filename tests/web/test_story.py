"""From sign-in to a tunnel and back, by mouse and by keyboard alone; what happens shows without a reload."""
import re
import time

import pytest

from browser import HANDS
from client import Client
from poll import until

SOON = 2.0  # seconds until the page shows what has happened


def moves(page, seconds=6):
    """The chart draws anew, and says in words that there is traffic."""
    before = page.chart()
    until(lambda: page.chart() != before, seconds, "the chart moves")
    page.run("await page.getByRole('img', { name: /devices now [1-9]/ }).first().waitFor({ timeout: arg })", seconds * 1000)


@pytest.mark.parametrize("hand", HANDS)
def test_from_sign_in_to_a_tunnel(served, browser, figure, hand):
    page = browser.open()
    with_ = HANDS[hand](page)
    name = f"laptop-{hand}"

    page.goto()
    with_.write("User name", "admin")
    with_.write("Password", served.admin_password)
    with_.press("button", "Sign in")
    page.has("heading", "Overview")
    page.mark()

    with_.press("link", "Devices")
    page.has("heading", "Devices")
    with_.press("link", "Add device")
    with_.write("User", f"traveller-{hand}")
    with_.write("Device name", name)
    with_.choose("WireGuard")
    with_.press("button", "Add device")
    page.sees("shown once")
    page.expect_download()
    with_.press("link", "Download profile")
    file, profile = page.downloaded()
    assert re.fullmatch(r"[\w.-]+\.conf", file) and profile.startswith("[Interface]") and "PrivateKey" in profile

    # A real client with that file; the page says so by itself.
    client = served.own(Client(served.net.client(), profile))
    client.start().connect()
    began = time.monotonic()
    page.sees("Connected: WireGuard", seconds=SOON)
    figure(f"{hand}: connected client is shown after", f"{time.monotonic() - began:.2f} s at most")
    with_.press("link", "Go to the device")
    page.has("heading", name).sees("Online", seconds=SOON)
    stream = served.stream(client, rate=200)
    stream.wait_flowing()
    moves(page)

    # Revoked: dark at once, here and in the list.
    with_.press("button", "Revoke")
    confirm(with_, page, name)
    page.misses("Online", seconds=SOON)
    stream.kill()
    assert not client.ping("198.51.100.2", seconds=1)
    page.run("await page.goBack()")
    page.goto("#/devices")
    page.row(name, "", seconds=5)
    assert page.marked(), "the page was loaded anew"
    client.stop()


def confirm(hand, page, name):
    """Whatever the dialog wants to be typed, then its own button."""
    page.run("await page.getByRole('dialog').waitFor()")
    typed = page.run("return await page.getByRole('dialog').locator('code').first().innerText()")
    hand.write("Name", typed)
    page.run("kept.verb = await page.getByRole('dialog').locator('button[type=submit]').innerText()")
    hand.press("button", page.run("return kept.verb"), exact=True)
    page.run("await page.getByRole('dialog').waitFor({ state: 'hidden' })")


def test_who_comes_and_goes_is_seen_by_all(served, browser, figure):
    """The list in one browser while another's device comes, is disabled and comes again."""
    page = browser.open().sign_in()
    user, device, issued = served.provision("seen")
    page.goto("#/devices").row("seen", "Offline")
    page.mark()
    client = served.client(issued)
    page.row("seen", "Online", seconds=SOON)
    served.api.patch(f"/v1/devices/{device['id']}", {"enabled": False})
    began = time.monotonic()
    page.row("seen", "Disabled", seconds=SOON)
    figure("disabled device is dark after", f"{time.monotonic() - began:.2f} s at most")
    served.api.patch(f"/v1/devices/{device['id']}", {"enabled": True})
    page.row("seen", "O", seconds=SOON)
    assert page.marked()
    client.stop()


def test_an_invite_works_once(served, browser):
    """Made here, opened in another browser: a profile, then no more."""
    page = browser.open().sign_in()
    hand = HANDS["mouse"](page)
    page.goto("#/devices/new").has("heading", "Add a device")
    hand.write("User", "invited")
    hand.write("Device name", "guest")
    hand.choose("Make an invite link")
    hand.press("button", "Add device")
    page.sees("works once")
    url = page.run("return await page.getByLabel('Invite link').inputValue()")
    assert url.startswith(browser.url + "i/")

    other = browser.open()
    other.run("await page.goto(arg)", url)
    other.fits()
    other.expect_download()
    HANDS["keyboard"](other).press("button", "Get my profile")
    HANDS["keyboard"](other).press("link", "Save")
    file, profile = other.downloaded()
    client = served.own(Client(served.net.client(), profile))
    client.start().connect()
    page.sees("Connected: WireGuard", seconds=SOON)

    third = browser.open()
    third.excuse("404")
    third.run("await page.goto(arg)", url)
    HANDS["mouse"](third).press("button", "Get my profile")
    third.sees("no longer valid").fits()
    assert "PrivateKey" not in third.text()
    client.stop()


def test_a_second_factor_at_the_door(served, browser):
    from house import code
    served.api.post("/v1/users", {"name": "careful", "role": "operator", "password": "gallop over the hedge"})
    login = served.anonymous.login("careful", "gallop over the hedge")
    secret = login.post("/v1/me/totp", {"password": "gallop over the hedge"})["secret"]
    assert login.request("POST", "/v1/me/totp/confirm", {"totp": code(secret)}).status == 204
    page = browser.open()
    page.excuse("401")
    hand = HANDS["keyboard"](page)
    page.goto()
    hand.write("User name", "careful")
    hand.write("Password", "a wrong guess of it")
    hand.press("button", "Sign in")
    page.has("alert")
    hand.write("Password", "gallop over the hedge")
    hand.press("button", "Sign in")
    hand.write("Authenticator code", code(secret, 1))
    hand.press("button", "Sign in")
    page.has("heading", "Overview")


def test_a_user_sees_what_is_his(served, browser):
    own = served.api.post("/v1/users", {"name": "modest", "password": "gallop over the hedge"})
    served.device(own, "mine")
    served.provision("notmine")
    page = browser.open().sign_in("modest", "gallop over the hedge")
    page.goto("#/devices").row("mine", "")
    assert "notmine" not in page.text()
    navigation = page.run("return await page.getByRole('navigation').first().innerText()")
    assert "Audit" not in navigation and "Users" not in navigation
    page.goto("#/audit").settle()
    assert "user.create" not in page.text()


def test_back_and_deep_links(served, browser):
    _, device, _ = served.provision("linked")
    page = browser.open().sign_in()
    page.goto("#/devices").has("heading", "Devices")
    page.goto(f"#/devices/{device['id']}").has("heading", "linked")
    page.run("await page.goBack()")
    page.has("heading", "Devices").row("linked", "")
    # The same address in a new tab; the login is still there.
    page.goto(f"#/devices/{device['id']}", load=True).has("heading", "linked")
