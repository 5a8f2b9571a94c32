"""The suite `images`: an image from a real registry, and into a real engine.

The engine is a daemon: its processor time, memory and bytes are not in the tables. Each
of its cases begins without the image.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

from registries import PROGRAM, running_registry
from sealift_installer.engine import Engine

from .images import image_of
from .rounds import run_rounds
from .tools import ROOT, Settings, Site, shell
from .values import Case, Result

FETCH_AIM, INSTALL_AIM = 0.2, 1.15
FETCH = "image fetch, no daemon"
PULL = "docker pull, docker save"
BUILD = "build: fetch, look into layers, pack, sign, read back"
INSTALL = "image install"
LOAD = "docker load -i of the plain archive"


def images(settings: Settings) -> Iterator[Result]:
    """Measure an image, if there is a registry and an engine here."""
    engine = Engine.connect()
    missing = [] if os.path.exists(PROGRAM) else ["docker-registry is not installed"]
    missing += [] if engine.probe() else [f"no engine answers at {engine.socket_path}"]
    if missing:
        result = Result("images", "not measured", 0)
        result.notes += missing
        yield result
        return
    image, plain = image_of(settings.inputs, settings.say, quick=settings.quick)
    root = settings.scratch("images")
    unpigz = "with" if shutil.which("unpigz") else "without"
    title = f"{len(image.layers)} layers, {plain / 10**6:.0f} MB plain, {unpigz} unpigz"
    result = Result("images", title, plain)
    name = f"sealift-bench-{os.getpid()}:1"
    try:
        with running_registry(root) as registry:
            settings.say("pushing the image to a registry on loopback")
            registry.push_image(name, image)
            site = Site(root / "site", settings.python)
            bench = ImageBench(site, f"{registry.host}/{name}", engine.socket_path)
            bench.prepare()
            rounds, say = settings.rounds, settings.say
            try:
                run_rounds(result, bench.cases, rounds, say, warm=settings.warm)
            finally:
                bench.forget()
    finally:
        shutil.rmtree(root)
    result.compare(FETCH, PULL, FETCH_AIM)
    result.compare(BUILD, PULL)
    result.compare(INSTALL, LOAD, INSTALL_AIM)
    result.notes.append(
        "an engine that finds unpigz (the package pigz) when it starts undoes the gzip "
        "of layers with it, and else with its own code"
    )
    compressed = sum(len(layer.data) for layer in image.layers)
    result.judge("size as the registry has it / plain", compressed / plain)
    yield result


class ImageBench:
    """The commands for one image, below one scratch directory."""

    def __init__(self, site: Site, reference: str, socket: str) -> None:
        self.site = site
        self.reference = reference
        self.socket = socket
        self.bundle = site.root / "out/bench-1.0.0"
        self._names = {reference}

    def prepare(self) -> None:
        """Make a key and a spec."""
        self.site.root.mkdir()
        self.site.prepare(f"images:\n  server: {{pull: '{self.reference}'}}\n")

    def cases(self) -> Iterator[Case]:
        """Yield what is measured in a round, each of ours beside its yardstick."""
        root = self.site.root
        blobs, out, pulled = (root / name for name in ("blobs", "out", "pulled"))
        program = f"exec {sys.executable} -m benchmark.fetch"
        fetch = shell(ROOT / "scripts", f"{program} {self.reference} {blobs}")
        yield Case(FETCH, fetch, blobs)
        save = f"docker save -o image.tar {self.reference}"
        pull = shell(pulled, f"docker pull -q {self.reference}", save)
        yield Case(PULL, pull, pulled, keeps=True, before=self.forget)
        insecure = ("--insecure-registry", self.reference.partition("/")[0])
        build = self.site.build(out, "--cache", out / "cache", *insecure)
        yield Case(BUILD, build, out, keeps=True)
        self._note_names()
        host = root / "host"
        install = self.site.installer("install", host, self.bundle, engine=self.socket)
        yield Case(INSTALL, install, host, [self.bundle], before=self.forget)
        load = ["docker", "load", "-q", "-i", str(pulled / "image.tar")]
        ends = [pulled, out]
        yield Case(LOAD, load, root / "none", [pulled], ends=ends, before=self.forget)

    def forget(self) -> None:
        """Take the image away from the engine, under all of its names."""
        for name in self._names:
            subprocess.run(["docker", "rmi", "-f", name], capture_output=True)

    def _note_names(self) -> None:
        manifest = json.loads((self.bundle / "manifest.json").read_bytes())
        self._names |= {image["reference"] for image in manifest["images"]}
