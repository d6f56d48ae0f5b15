"""The control plane goes away under an open page, and comes back: the page says so, and goes on by itself."""


def test_it_says_so_and_recovers(served, browser, figure):
    page = browser.open().sign_in()
    page.excuse("net::ERR_", "503")
    device, client = served.connected("before")
    page.goto("#/devices").row("before", "Online")
    page.mark()
    served.controlplane.kill()
    page.sees("Not connected", seconds=5)
    # What was there is still to be seen.
    page.row("before", "")
    served.controlplane.start()
    served.wait_ready()
    page.misses("Not connected", seconds=10)
    # Live again: what happens now comes by itself.
    served.provision("after")
    page.row("after", "", seconds=5)
    assert page.marked(), "the page was loaded anew"
    client.stop()


def test_the_dataplane_alone(served, browser):
    page = browser.open().sign_in()
    # The browser is on the server here: with the dataplane its device goes, and what is on its way then is given up.
    page.excuse("net::ERR_NETWORK_CHANGED")
    page.has("heading", "Overview").fact("Dataplane", "Connected")
    page.mark()
    served.dataplane.kill()
    page.fact("Dataplane", "Lost")
    served.dataplane.start()
    served.wait_ready()
    page.fact("Dataplane", "Connected")
    assert page.marked()


def test_whose_login_has_ended_is_asked_again(served, browser):
    """And comes back to where he was."""
    served.api.post("/v1/users", {"name": "leaver", "role": "operator", "password": "gallop over the hedge"})
    page = browser.open().sign_in("leaver", "gallop over the hedge")
    page.excuse("401")
    page.goto("#/users").has("heading", "Users")
    user = next(u for u in served.api.all("/v1/users") if u["name"] == "leaver")
    served.api.patch(f"/v1/users/{user['id']}", {"password": "another hedge to gallop over"})
    page.has("button", "Sign in", seconds=5)
