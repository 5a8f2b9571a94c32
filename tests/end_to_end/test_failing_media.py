"""A medium that fails: a block device that gives errors, on which a bundle lies.

The device is a loop device whose file is cut short after mounting: what lay behind the
cut cannot be read any more, as on a worn stick, while the page cache still has it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hosts
import making
import pytest
from making import NO_ENGINE, PYZ, Host, Key, noise, sealift

MIB = 1 << 20
FILES = {f"part-{n}.bin": noise(f"failing {n}", MIB) for n in range(12)}
FIRST, LAST = "data-0001.pack", "data-0002.pack"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Path:
    folder = tmp_path_factory.mktemp("failing")
    spec = making.weights_spec(folder, "failing", FILES, serial=1)
    return making.build(spec, key, folder / "out", "--part-size", "8MiB")


@pytest.fixture
def host(tmp_path: Path, bundle: Path) -> Host:
    return Host(tmp_path / "host", bundle / PYZ, NO_ENGINE)


@dataclass(frozen=True)
class Stick:
    """A mounted loop device, the bundle on it, and the file behind the device."""

    image: Path
    bundle: Path

    def fail_within(self, pack: str, chunks: int) -> None:
        """Let the device fail from somewhere in a pack on, behind so many chunks."""
        data = (self.bundle / pack).read_bytes()
        start = self.image.read_bytes().index(data[:4096])
        assert self.image.read_bytes()[start : start + len(data)] == data
        os.truncate(self.image, start + chunks * MIB + MIB // 2)


@pytest.fixture
def stick(tmp_path: Path, bundle: Path) -> Iterator[Stick]:
    if not hosts.is_root():
        pytest.skip("only root can mount")
    image, place = tmp_path / "stick.img", tmp_path / "stick"
    place.mkdir()
    image.touch()
    os.truncate(image, 32 * MIB)
    # Without a journal and its recovery: the device is to fail where we say.
    make = ["mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal", image]
    subprocess.run(make, check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    try:
        small = [path for path in bundle.iterdir() if path.suffix != ".pack"]
        for path in [*sorted(small), bundle / FIRST, bundle / LAST]:
            (place / path.name).write_bytes(path.read_bytes())
            os.sync()  # So that they lie in this order.
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        yield Stick(image, place)
    finally:
        subprocess.run(["umount", place], check=True)


def test_read_errors_are_ranges_and_the_rest_is_still_judged(host, key, stick):
    stick.fail_within(LAST, chunks=1)
    args = [stick.bundle, "--key", key.public, "--json"]

    for outcome in (host.run("verify", *args), sealift("verify", *args)):
        outcome.expect(15)
        (medium,) = outcome.facts["media"]
        (damage,) = medium["damages"]
        size = (stick.bundle / LAST).stat().st_size
        assert medium["packs"] == [0]
        assert (damage["name"], damage["kind"]) == (LAST, "unreadable")
        assert damage["ranges"] == [[MIB, size]]
        assert all("model tiny: part-" in hit for hit in damage["hits"])


def test_what_only_the_page_cache_has_is_not_called_good(host, key, stick, bundle):
    last = stick.bundle / LAST
    stick.fail_within(LAST, chunks=0)
    # The kernel still has it: other tools would say that it is whole.
    assert last.read_bytes() == (bundle / LAST).read_bytes()

    outcome = host.run("verify", stick.bundle, "--key", key.public)

    outcome.expect(15, f"{last}: cannot be read", "needed: data-0002.pack")


def test_a_failing_medium_and_a_whole_one_are_told_apart(host, key, stick, bundle):
    stick.fail_within(LAST, chunks=1)
    args = [stick.bundle, bundle, "--key", key.public]

    outcome = host.run("verify", *args)

    outcome.expect(0, f"WARNING: {stick.bundle}: not all", f"{bundle}: packs 1-2")
    host.run("install", *args).expect(0)
    host.run("audit").expect(0, "clean")


def test_what_a_failing_medium_has_lost_comes_with_a_patch(
    host, key, stick, bundle, tmp_path
):
    stick.fail_within(LAST, chunks=1)
    request = tmp_path / "request.json"
    trust = ["--key", key.public]

    asked = host.run("repair-request", stick.bundle, "-o", request, *trust)
    asked.expect(0, "asks for")
    sign = ["--sign-key", key.private]
    sealift("repair", bundle, request, "-o", tmp_path / "out", *sign).expect(0)
    (patch,) = (tmp_path / "out").iterdir()

    host.run("install", stick.bundle, patch, *trust).expect(0)
    host.run("audit").expect(0, "clean")
    lost = (bundle / LAST).stat().st_size - MIB
    assert (patch / "patch-0001.pack").stat().st_size == lost
