"""A browser in the gateway's namespace: driver.mjs with Debian's Chromium, and pages as tests see them. A page is
looked at by role and label, as a screen reader does, and used by a Mouse or by a Keyboard."""
import json
import queue
import subprocess
import threading

from daemons import ROOT
from topology import run, temporary

TOOLS = ROOT / "build/browser"
HERE = ROOT / "tests/web"
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# What a page says of requests that are refused on purpose, or while nobody listens.
REFUSED = "Failed to load resource: the server responded with a status of"
UNREACHABLE = "net::ERR_"


class Wrong(AssertionError):
    """The page did not do what was asked of it."""


class Browser:
    def __init__(self, gateway):
        run("make", "-s", "-C", ROOT, "browser", timeout=300)
        self.gateway = gateway
        self.url = f"http://127.0.0.1:{gateway.http_port}/"
        home = temporary() / "browser"
        home.mkdir(exist_ok=True)
        self.log = home / "log"
        with open(self.log, "ab") as log:
            self.process = gateway.ns.popen(
                ["env", f"HOME={home}", f"TMPDIR={home}", "TZ=Europe/Berlin", "node", HERE / "driver.mjs", TOOLS],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.answers, self.number, self.pages = queue.Queue(), 0, []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.answers.put(None)

    def order(self, page, code, arg=None, seconds=30):
        self.number += 1
        self.process.stdin.write(json.dumps({"id": self.number, "page": page, "code": code, "arg": arg}) + "\n")
        self.process.stdin.flush()
        while True:
            answer = self.answers.get(timeout=seconds)
            assert answer is not None, f"the browser ended: {self.log.read_text()[-2000:]}"
            if answer["id"] == self.number:
                break
        if "error" in answer:
            raise Wrong(answer["error"])
        return answer["value"]

    def open(self, viewport=WIDE, scheme="light", **options):
        """A page of a browser that knows nothing yet: no cookie, nothing stored."""
        number = self.order(0, "return await open(arg)", {
            "viewport": viewport, "colorScheme": scheme, "locale": "en-GB", "timezoneId": "Europe/Berlin",
            "permissions": ["clipboard-read", "clipboard-write"], "reducedMotion": "reduce", **options})
        page = Page(self, number)
        self.pages.append(page)
        return page

    def close_pages(self):
        """Closes them; says what was wrong on them."""
        wrong = []
        for page in self.pages:
            wrong += page.problems()
            self.order(0, "await close(arg)", page.number)
        self.pages = []
        assert not wrong, "the page has\n" + "\n".join(wrong)

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Page:
    def __init__(self, browser, number):
        self.browser, self.number = browser, number
        self.excused = []

    def run(self, code, arg=None, seconds=30):
        """JavaScript with playwright-core's `page`, `arg`, `kept`; returns what it returns."""
        return self.browser.order(self.number, code, arg, seconds)

    def problems(self):
        """What a page must not have: dialogs, exceptions, errors, what the policy refused. Once."""
        found = self.run("return kept.problems.splice(0)")
        return [p for p in found if not any(e in p for e in self.excused)]

    def excuse(self, *texts):
        """Problems with these texts are meant to be, on this page."""
        self.excused += texts

    def goto(self, place="", load=False):
        """By address: "#/devices" and so on. load: as if it were typed into a new tab."""
        self.run("if (arg.load) await page.goto('about:blank'); await page.goto(arg.url)",
                 {"url": self.browser.url + place, "load": load})
        return self

    def settle(self):
        """Nothing says any more that it is loading, and what was asked for has been painted."""
        self.run("""await page.waitForFunction(() => document.querySelector('h1, h2')
            && !document.querySelector('.state .spinner, [aria-busy=true]'), null, { polling: 50 });
            await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));""")
        return self

    def sees(self, text, seconds=5, exact=False):
        """Waits until that text is to be seen."""
        self.run("await page.getByText(arg.text, { exact: arg.exact }).filter({ visible: true }).first().waitFor({ timeout: arg.ms })",
                 {"text": text, "exact": exact, "ms": seconds * 1000})
        return self

    def misses(self, text, seconds=5):
        """Waits until that text is nowhere to be seen."""
        self.run("""await page.waitForFunction((t) => !document.body.innerText.toLowerCase().includes(t.toLowerCase()), arg.text,
            { timeout: arg.ms, polling: 50 })""", {"text": text, "ms": seconds * 1000})
        return self

    def has(self, role, name=None, seconds=5):
        self.run("await page.getByRole(arg.role, arg.name ? { name: arg.name } : {}).first().waitFor({ timeout: arg.ms })",
                 {"role": role, "name": name, "ms": seconds * 1000})
        return self

    def row(self, name, text, seconds=5):
        """Waits until the row (of a table) that has that name says that text."""
        self.run("""await page.getByRole('row').filter({ hasText: arg.name }).filter({ hasText: arg.text }).first()
            .waitFor({ timeout: arg.ms })""", {"name": name, "text": text, "ms": seconds * 1000})
        return self

    def fact(self, name, text, seconds=5):
        """Waits until what stands under that name (in a list of names and values) says that text."""
        self.run("""await page.getByRole('term').filter({ hasText: new RegExp(`^${arg.name}$`) }).locator('xpath=..')
            .getByRole('definition').filter({ hasText: arg.text }).first().waitFor({ timeout: arg.ms })""",
                 {"name": name, "text": text, "ms": seconds * 1000})
        return self

    def spent(self):
        """Milliseconds of processor time that the page's main thread has taken: the same however busy the machine is."""
        return self.run("""const s = kept.spent ??= await page.context().newCDPSession(page);
            await s.send('Performance.enable', { timeDomain: 'threadTicks' });
            return (await s.send('Performance.getMetrics')).metrics.find((m) => m.name === 'TaskDuration').value * 1000;""")

    def text(self):
        return self.run("return await page.evaluate(() => document.body.innerText)")

    def fits(self):
        """Nothing sticks out at the side, nowhere."""
        out = self.run("""return await page.evaluate(() => {
            const width = document.documentElement.clientWidth;
            const wide = document.documentElement.scrollWidth;
            if (wide <= width) return null;
            const guilty = [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > width + 1);
            return `${wide} > ${width}: ` + guilty.slice(0, 5).map((e) => e.outerHTML.slice(0, 160)).join(' | ');
        })""")
        assert out is None, f"sticks out: {out}"
        return self

    def mark(self):
        """From now on `marked` tells whether the page was loaded anew."""
        self.run("await page.evaluate(() => { window.mark = true })")

    def marked(self):
        return self.run("return await page.evaluate(() => window.mark === true)")

    def chart(self):
        """The first chart's picture."""
        return self.run("return await page.evaluate(() => document.querySelector('canvas').toDataURL())")

    def expect_download(self):
        self.run("kept.download = page.waitForEvent('download', { timeout: 10000 }); kept.download.catch(() => {})")

    def downloaded(self):
        """(name, text)"""
        return tuple(self.run("""const d = await kept.download;
            return [d.suggestedFilename(), require('fs').readFileSync(await d.path(), 'utf8')]"""))

    def sign_in(self, name="admin", password=None):
        hand = Mouse(self)
        self.goto()
        hand.write("User name", name)
        hand.write("Password", password or self.browser.gateway.admin_password)
        hand.press("button", "Sign in")
        self.has("navigation")
        return self


class Mouse:
    """Points, clicks and types."""

    def __init__(self, page):
        self.page = page

    def press(self, role, name, exact=False):
        self.page.run("await page.getByRole(arg.role, { name: arg.name, exact: arg.exact }).filter({ visible: true }).first().click()",
                      {"role": role, "name": name, "exact": exact})

    def write(self, label, text):
        self.page.run("""const at = page.getByLabel(arg.label, { exact: true }).filter({ visible: true }).first(); await at.click();
            await page.keyboard.press('Control+A'); await page.keyboard.type(arg.text)""", {"label": label, "text": text})

    def choose(self, label):
        """One of several cards."""
        self.page.run("await page.getByRole('radio', { name: arg }).filter({ visible: true }).first().click({ force: true })", label)


class Keyboard:
    """Tab until it is there, then a key: nothing is pointed at."""

    TO = """const to = async (at) => {
            await at.waitFor();
            for (let i = 0; i < 150; i++) {
                if (await at.evaluate((e) => e === document.activeElement)) {
                    const ring = await at.evaluate((e) => { const s = getComputedStyle(e);
                        return s.outlineStyle !== 'none' || s.boxShadow !== 'none' || e.type === 'radio' });
                    if (!ring) throw new Error(`no sign of the focus on ${await at.evaluate((e) => e.outerHTML)}`);
                    return;
                }
                await page.keyboard.press('Tab');
            }
            throw new Error(`Tab never comes to ${at}`);
        };"""

    def __init__(self, page):
        self.page = page

    def press(self, role, name, exact=False):
        self.page.run(self.TO + """await to(page.getByRole(arg.role, { name: arg.name, exact: arg.exact }).filter({ visible: true }).first());
            await page.keyboard.press('Enter')""", {"role": role, "name": name, "exact": exact})

    def write(self, label, text):
        self.page.run(self.TO + """await to(page.getByLabel(arg.label, { exact: true }).filter({ visible: true }).first());
            await page.keyboard.press('Control+A'); await page.keyboard.type(arg.text)""", {"label": label, "text": text})

    def choose(self, label):
        """Tab comes to the group, arrows to one of it."""
        self.page.run(self.TO + """const want = page.getByRole('radio', { name: arg }).filter({ visible: true }).first();
            const name = await want.getAttribute('name');
            await to(page.locator(`input[type=radio][name="${name}"]:checked`));
            for (let i = 0; i < 10 && !(await want.isChecked()); i++) await page.keyboard.press('ArrowDown');
            if (!(await want.isChecked())) throw new Error('arrows never come to it')""", label)


HANDS = {"mouse": Mouse, "keyboard": Keyboard}
