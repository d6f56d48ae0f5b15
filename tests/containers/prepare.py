#!/usr/bin/python3
"""Brings the engine and builds the images of the commit, so that nothing is compiled beside what measures. What the tests
build afterwards is the same, and is there already; without this they do all of it themselves."""
import pathlib
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from engine import Engine, clone, registry


def main():
    engine = Engine()
    try:
        with tempfile.TemporaryDirectory() as folder:
            here = pathlib.Path(folder) / "ireko"
            clone(here)
            engine.run("docker", "compose", "-f", here / "docker/compose.yaml", "build", seconds=800,
                       env={"NPM_CONFIG_REGISTRY": registry(), "IREKO_ENDPOINT": "prepare.invalid"})
    except BaseException:
        engine.close()
        raise
    engine.leave()


if __name__ == "__main__":
    main()
