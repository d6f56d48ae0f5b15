"""10,000 devices: the list is there within a second, scrolling and searching stay smooth."""
import ipaddress
import os
import sqlite3
import time

import pytest

DEVICES, USERS = 10_000, 50
FRAME_MS = 25      # of processor time, on average, drawn without a graphics card
LETTER_MS = 50     # the same, for each letter of a search
FIRST_ADDRESS = 10 << 24 | 77 << 16 | 16


def ulid(ms, i):
    return ms.to_bytes(6, "big") + i.to_bytes(10, "big")


def fill(path):
    """As if they had been made one by one; while nobody has the database open."""
    now = int(time.time() * 1000)
    with sqlite3.connect(path) as db:
        prefix = ipaddress.ip_network(db.execute("SELECT txt FROM meta WHERE key = 'net6'").fetchone()[0]).network_address.packed[:8]
        users = [ulid(now, i) for i in range(USERS)]
        db.executemany("INSERT INTO users (id, name, name_key, display_name, email, role, password, disabled, created_at, "
                       "updated_at, revision) VALUES (?, ?, ?, '', '', 0, NULL, 0, ?, ?, 1)",
                       [(u, f"person-{i}", f"person-{i}", now, now) for i, u in enumerate(users)])
        rows = [(ulid(now, 1000 + i), users[i % USERS], f"device-{i:05}", 1000 + i, (FIRST_ADDRESS + i).to_bytes(4, "big"),
                 prefix + (0x10000 + i).to_bytes(8, "big"), now, now) for i in range(DEVICES)]
        db.executemany("INSERT INTO devices (id, user_id, name, peer_id, address4, address6, enabled, expires_at, created_at, "
                       "updated_at, revision) VALUES (?, ?, ?, ?, ?, ?, 1, 0, ?, ?, 1)", rows)
        db.executemany("INSERT INTO leases (kind, value, device_id) VALUES (?, ?, ?)",
                       [lease for r in rows for lease in ((0, r[3].to_bytes(4, "big"), r[0]), (4, r[4], r[0]), (6, r[5], r[0]))])


@pytest.fixture(scope="module")
def full(served):
    served.controlplane.stop()
    path = served.data_dir / "ireko.db"
    owner = os.stat(path)
    fill(path)
    for file in served.data_dir.glob("ireko.db*"):
        os.chown(file, owner.st_uid, owner.st_gid)
    served.controlplane.start()
    served.wait_ready()
    return served


def shown(page, place, name):
    """Milliseconds from going to that place until a row has that name, and is painted."""
    return page.run("""return await page.evaluate(async ({ place, name }) => {
        const began = performance.now();
        location.hash = place;
        for (;;) {
            await new Promise((done) => requestAnimationFrame(done));
            if ([...document.querySelectorAll('[role=row], tr')].some((r) => r.innerText.includes(name))) return performance.now() - began;
            if (performance.now() - began > 10000) return -1;
        }
    }, arg)""", {"place": place, "name": name})


def frames(page, code):
    """Milliseconds of each frame while that code of the page runs."""
    return page.run("""return await page.evaluate(async (code) => {
        const took = [];
        let going = true, last = performance.now();
        const tick = (now) => { took.push(now - last); last = now; if (going) requestAnimationFrame(tick); };
        requestAnimationFrame(tick);
        await new Function(`return (async () => { ${code} })()`)();
        going = false;
        return took.slice(2);
    }, arg)""", code)


def test_the_list_is_there_within_a_second(full, browser, figure):
    for _ in range(3):  # what else the machine does may come between, but not always
        page = browser.open().sign_in()
        ms = shown(page, "#/devices", "device-00000")
        figure("first rows of 10,000 devices", f"{ms:.0f} ms")
        assert ms >= 0, "they never came"
        if ms <= 1000:
            break
    assert ms <= 1000
    page.sees("10,000", seconds=15)
    assert page.run("return await page.evaluate(() => document.querySelectorAll('[role=row], tr').length)") < 500


def test_searching_and_scrolling_stay_smooth(full, browser, figure):
    page = browser.open().sign_in()
    page.goto("#/devices").sees("10,000", seconds=15)
    before = page.spent()
    took = sorted(frames(page, "for (let i = 0; i < 100; i++) { scrollBy(0, 700); await new Promise((done) => requestAnimationFrame(done)); }"))
    each = (page.spent() - before) / 100
    figure("scrolling 10,000 devices", f"{each:.1f} ms of processor time a frame; median {took[len(took) // 2]:.0f} ms, slowest {took[-1]:.0f} ms")
    assert each <= FRAME_MS
    page.run("await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight))")
    page.row("device-09999", "", seconds=2)
    box = "page.getByRole('searchbox').first()"
    page.run(f"await {box}.click()")
    page.run("await page.evaluate(() => scrollTo(0, 0))")
    page.row("device-00000", "")
    before, began = page.spent(), time.monotonic()
    page.run("await page.keyboard.type('device-09999')")
    page.misses("device-00000", seconds=2).row("device-09999", "")
    each, took = (page.spent() - before) / 12, time.monotonic() - began
    figure("searching 10,000 devices", f"{each:.0f} ms of processor time a letter; {took * 1000:.0f} ms for all 12 and the result")
    assert each <= LETTER_MS
    page.run(f"await {box}.fill('person-7')")
    page.row("person-7", "device-00007", seconds=2)
