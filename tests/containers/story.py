"""One installation, from `git clone` on, and everything that must be ended afterwards."""
import pathlib
import re
import ssl
import threading

import topology
import traffic
from engine import Engine, clone, registry
from rest import Rest

CONTROL, DATA = "ireko-controlplane-1", "ireko-dataplane-1"
NAME = "vpn.example.net"  # of README; the clients' name service here knows it


class Story:
    def __init__(self):
        self.engine = self.outside = None
        self.owned = []
        self.dir = topology.temporary() / "containers"
        self.dir.mkdir()
        self.engine = Engine()
        try:
            self._settle()
        except BaseException:
            self.close()
            raise

    def _settle(self):
        e = self.engine
        clone(self.dir / "ireko.git", "--bare")
        e.env["NPM_CONFIG_REGISTRY"] = registry()
        e.env.pop("IREKO_ENDPOINT", None)
        assert not e.docker("ps", "-aq", "--filter", "label=com.docker.compose.project=ireko"), "an Ireko runs on this engine"

    def compose(self, *argv, **kw):
        env = {"IREKO_ENDPOINT": NAME, **kw.pop("env", {})}
        return self.engine.run("docker", "compose", "-f", self.dir / "ireko/docker/compose.yaml", *argv, env=env, **kw)

    def own(self, thing):
        self.owned.append(thing)
        return thing

    def logs(self, name=CONTROL):
        return self.engine.docker("logs", name, check=False)[1]

    def rest(self):
        """The API as it is published, from the engine's machine, with the certificate checked."""
        tls = ssl.create_default_context(cafile=str(self.from_data("api-ca.pem")))
        return Rest(self.outside.host, 8443, tls=tls)

    def from_data(self, name):
        """A copy of a file of the data volume, by Docker's own way."""
        copy = self.dir / name
        copy.unlink(missing_ok=True)
        self.compose("cp", f"controlplane:/var/lib/ireko/{name}", copy)
        return copy

    def admin(self):
        return self.rest().login("admin", self.from_data("admin-password").read_text().strip())

    def healthy(self, *names):
        return all(self.engine.health(n) == "healthy" for n in names or (CONTROL, DATA))

    def streams(self):
        """One stream through each tunnel, both ways."""
        return [self.own(traffic.Stream(t.ns, self.outside.internet, rate=200, port=7000 + i).wait_flowing())
                for i, t in enumerate(self.tunnels)]

    def stop_streams(self, streams):
        """[(which, Direction)]"""
        ended = [None] * len(streams)
        threads = [threading.Thread(target=lambda i=i, s=s: ended.__setitem__(i, s.stop())) for i, s in enumerate(streams)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return [(f"{kind} {way}", d) for kind, pair in zip(("wireguard", "openvpn"), ended)
                for way, d in zip(("up", "down"), pair)]

    def close(self):
        for thing in reversed(self.owned):
            for name in ("kill", "remove", "stop"):
                if hasattr(thing, name):
                    getattr(thing, name)()
                    break
        self.owned.clear()
        if self.engine:
            if (self.dir / "ireko").exists():
                self.compose("down", "--volumes", "--timeout", "5", check=False)
            if self.outside:
                self.outside.remove()
            self.engine.close()
