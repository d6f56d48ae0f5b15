"""Memory stays flat while events come: a short run in `make check`, 10 minutes by `make web-soak` (SOAK_SECONDS)."""
import os
import threading
import time

SECONDS = int(os.environ.get("SOAK_SECONDS", "60"))
WARM_SECONDS = SECONDS / 4   # until what is kept of the past is full, and the code compiled
SLACK_KB, SLACK_NODES = 1024, 200


class Bustle:
    """Sessions that begin and end, devices that change, traffic: until it is stopped."""

    def __init__(self, served):
        self.served, self.going, self.events, self.error = served, True, 0, None
        self.user, self.device, issued = served.provision("busy")
        self.client = served.client(issued)
        self.stream = served.stream(self.client, rate=50)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        api = self.served.api
        try:
            while self.going:
                self.events += 1
                api.patch(f"/v1/devices/{self.device['id']}", {"expires_at": f"2099-01-01T00:00:{self.events % 60:02}Z"})
                if self.events % 50 == 0:
                    self.client.move_port(20000 + self.events % 20000)
                time.sleep(0.05)
        except Exception as e:  # said by stop
            self.error = e

    def stop(self):
        self.going = False
        self.thread.join()
        assert self.error is None, self.error


def taken(page):
    """(kB of the heap after a collection, nodes, listeners)"""
    return tuple(page.run("""const s = kept.cdp ??= await page.context().newCDPSession(page);
        await s.send('Performance.enable');
        for (let i = 0; i < 3; i++) await s.send('HeapProfiler.collectGarbage');
        const m = Object.fromEntries((await s.send('Performance.getMetrics')).metrics.map((x) => [x.name, x.value]));
        return [Math.round(m.JSHeapUsedSize / 1024), m.Nodes, m.JSEventListeners];""", seconds=60))


def test_memory_stays_flat(served, browser, figure):
    page = browser.open().sign_in()
    bustle = Bustle(served)
    try:
        page.has("heading", "Overview").sees("bit/s")
        page.run("await page.waitForTimeout(arg)", WARM_SECONDS * 1000, seconds=WARM_SECONDS + 30)
        before = bustle.events
        heap, nodes, listeners = taken(page)
        page.run("await page.waitForTimeout(arg)", (SECONDS - WARM_SECONDS) * 1000, seconds=SECONDS + 30)
        heap_after, nodes_after, listeners_after = taken(page)
        figure(f"memory over {SECONDS - WARM_SECONDS:.0f} s and {bustle.events - before} changes",
               f"{heap} -> {heap_after} kB, {nodes:.0f} -> {nodes_after:.0f} nodes, {listeners:.0f} -> {listeners_after:.0f} listeners")
        assert bustle.events - before > (SECONDS - WARM_SECONDS) * 2, "nothing happened"
        assert heap_after - heap <= SLACK_KB and nodes_after - nodes <= SLACK_NODES and listeners_after - listeners <= 50
    finally:
        bustle.stop()
