"""Sticks for tests: file systems of their own, made and mounted for real.

Those of a kind that the kernel does not have are served by a FUSE program. Only root
can mount.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import making
from hosts import MissingHostError, is_root

MIB = 1 << 20
MAKERS = {
    "ext2": ["mkfs.ext2", "-q", "-b", "1024", "-m", "0"],
    "ext4": ["mkfs.ext4", "-q", "-m", "0"],
    "exfat": ["mkfs.exfat"],
    "vfat": ["mkfs.vfat", "-F", "32"],
}


@dataclass
class Slots:
    """Mount points below a folder, and what is in them."""

    folder: Path
    filled: dict[str, ExitStack] = field(default_factory=dict)

    def memory(self, slot: str, size: str) -> Path:
        """Put a stick in memory (tmpfs), of a size such as `12m`, into a slot."""
        stack = self.filled[slot] = ExitStack()
        return stack.enter_context(making.small_disk(self.folder / slot, size))

    def make(self, stick: str, kind: str, size: int) -> None:
        """Make a stick of `size` bytes with a file system of this kind."""
        self.folder.mkdir(exist_ok=True)
        image = self.folder / f"{stick}.{kind}"
        with image.open("wb") as file:
            file.truncate(size)
        _run([*MAKERS[kind], str(image)])

    def insert(self, stick: str, slot: str, *options: str) -> Path:
        """Mount a stick that was made; return where."""
        (image,) = self.folder.glob(f"{stick}.*")
        place = self.folder / slot
        place.mkdir(exist_ok=True)
        stack = self.filled[slot] = ExitStack()
        stack.enter_context(_mounted(image.suffix[1:], image, place, options))
        return place

    def take_out(self, slot: str) -> None:
        """Unmount what is in a slot."""
        self.filled.pop(slot).close()

    def take_all_out(self) -> None:
        """Unmount everything."""
        for slot in list(self.filled):
            self.take_out(slot)


def find_slots() -> None:
    """Raise MissingHostError unless file systems can be mounted from files here."""
    if not is_root():
        raise MissingHostError("only root can mount sticks")
    done = subprocess.run(["losetup", "-f"], capture_output=True, text=True)
    if done.returncode:
        raise MissingHostError(f"there are no loop devices: {done.stderr.strip()}")


def require_kind(kind: str) -> None:
    """Raise MissingHostError unless such a file system can be made and mounted."""
    server = {"exfat": "mount.exfat-fuse", "vfat": "fusefat"}.get(kind, "")
    wanted = [MAKERS[kind][0], *([] if _in_kernel(kind) else [server])]
    missing = [program for program in wanted if not shutil.which(program)]
    if missing:
        raise MissingHostError(
            f"{', '.join(missing)} missing; scripts/test installs it"
        )


@contextmanager
def _mounted(
    kind: str, image: Path, place: Path, options: Sequence[str]
) -> Iterator[None]:
    with ExitStack() as stack:
        if kind == "vfat" and not _in_kernel(kind):
            _run(["fusefat", "-o", "rw+", str(image), str(place)])
        else:
            device = stack.enter_context(_loop_device(image))
            if kind == "exfat" and not _in_kernel(kind):
                _run(["mount.exfat-fuse", device, str(place)])
            else:
                words = ["-o", ",".join(options)] if options else []
                _run(["mount", "-t", kind, *words, device, str(place)])
        stack.callback(_unmount, place)
        yield


def _unmount(place: Path) -> None:
    if subprocess.run(["umount", place], capture_output=True).returncode:
        _run(["umount", "--lazy", str(place)])
        raise AssertionError(f"a file on {place} was still open")


@contextmanager
def _loop_device(image: Path) -> Iterator[str]:
    device = _run(["losetup", "--find", "--show", str(image)]).strip()
    try:
        yield device
    finally:
        _run(["losetup", "--detach", device])


def _in_kernel(kind: str) -> bool:
    """Say whether the kernel has a file system, after asking it to load it."""
    if shutil.which("modprobe"):
        subprocess.run(["modprobe", kind], capture_output=True)
    return f"\t{kind}\n" in Path("/proc/filesystems").read_text()


def _run(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout
