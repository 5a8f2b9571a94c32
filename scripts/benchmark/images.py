"""Make an image like those that serve models: a Debian, Python packages, weights.

Its parts are made once and kept. A small one for a quick look has Python packages of
this machine in place of the Debian, so it needs no network.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from chroots import debian_mirror
from registries import MadeImage, MadeLayer, make_image

from .tools import run
from .values import Say

WHEELS = ("numpy", "scipy", "pandas", "pyarrow")
_DEBIAN = "bookworm"
_NOISE = 40 << 20
_QUICK_NOISE = 4 << 20
_QUICK_PACKAGE = "requests"


def image_of(folder: Path, say: Say, *, quick: bool) -> tuple[MadeImage, int]:
    """Return the image as a registry has it, and the bytes of its plain layers."""
    parts = _quick_parts() if quick else _parts()
    home = folder / ("image-quick" if quick else "image")
    home.mkdir(parents=True, exist_ok=True)
    for name, fill in parts.items():
        if not (home / f"{name}.json").exists():
            say(f"making a layer of the image: {name}")
            tree = home / f"{name}.tree"
            shutil.rmtree(tree, ignore_errors=True)
            tree.mkdir()
            fill(tree)
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(_layer, (home / name for name in parts)))
    config = {"Cmd": ["/bin/sh"], "Env": ["LANG=C.UTF-8"]}
    image = make_image([layer for layer, _ in made], config=config)
    return image, sum(size for _, size in made)


def _parts() -> dict[str, Callable[[Path], None]]:
    return {
        "debian": _debian,
        "packages": _packages,
        "weights": lambda tree: _noise(tree, _NOISE),
        "settings": _settings,
    }


def _quick_parts() -> dict[str, Callable[[Path], None]]:
    return {
        "packages": _local_package,
        "weights": lambda tree: _noise(tree, _QUICK_NOISE),
        "settings": _settings,
    }


def _debian(tree: Path) -> None:
    run(["debootstrap", "--variant=minbase", _DEBIAN, tree, debian_mirror()])
    # Device nodes and sockets are made by engines.
    for place in ("dev", "proc", "sys", "run"):
        for path in (tree / place).iterdir():
            shutil.rmtree(path) if _is_folder(path) else path.unlink()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _packages(tree: Path) -> None:
    place = tree / "usr/lib/python3/dist-packages"
    words = ["-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--target"]
    run([sys.executable, *words, place, "--only-binary", ":all:", *WHEELS])


def _local_package(tree: Path) -> None:
    found = Path(sysconfig.get_paths()["purelib"]) / _QUICK_PACKAGE
    shutil.copytree(found, tree / "usr/lib/python3/dist-packages" / _QUICK_PACKAGE)


def _noise(tree: Path, size: int) -> None:
    random = np.random.default_rng(1)
    with (tree / "weights.bin").open("wb") as file:
        for _ in range(size >> 20):
            file.write(random.bytes(1 << 20))


def _settings(tree: Path) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/server.json").write_text('{"port": 8000}\n')


def _layer(place: Path) -> tuple[MadeLayer, int]:
    """Return a layer and its plain size; make it of its tree when it is not kept."""
    about, packed = place.with_suffix(".json"), place.with_suffix(".tar.gz")
    if not about.exists():
        tree = place.with_suffix(".tree")
        diff_id, size = _packed(tree, packed)
        about.write_text(json.dumps({"diff_id": diff_id, "size": size}))
        shutil.rmtree(tree)
    facts = json.loads(about.read_text())
    layer = MadeLayer(packed.read_bytes(), facts["diff_id"], gzipped=True)
    return layer, int(facts["size"])


def _packed(tree: Path, packed: Path) -> tuple[str, int]:
    """Put a tree into a tar by gzip; return digest and size of the plain tar."""
    same = ("--sort=name", "--mtime=@0", "--numeric-owner", "--format=posix")
    times = "--pax-option=delete=atime,delete=ctime"
    command = ["tar", "-c", *same, times, "."]
    tar = subprocess.Popen(command, cwd=tree, stdout=subprocess.PIPE)
    state, size = hashlib.sha256(), 0
    with packed.open("wb") as sink:
        words = ["gzip", "-n", "-6"]
        gzip = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=sink)
        assert tar.stdout and gzip.stdin
        with gzip.stdin:
            while piece := tar.stdout.read(1 << 20):
                state.update(piece)
                gzip.stdin.write(piece)
                size += len(piece)
        if tar.wait() or gzip.wait():
            raise subprocess.CalledProcessError(1, command)
    return f"sha256:{state.hexdigest()}", size
