"""Sticks of a bundle, a slot that takes one at a time, and the installer at a terminal.

The slot is a mount point, and each stick is mounted there. So a file that the installer
keeps open, or a folder that it stands in, shows: the stick could not be taken out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from making import PYZ, Host
from terminals import Terminal

ASKED = "or q to stop:"


@dataclass
class Slot:
    """A place where one stick at a time can be."""

    place: Path
    is_full: bool = False

    def insert(self, stick: Path) -> None:
        """Put a stick in; one that is in is taken out first, which must be possible."""
        self.pull()
        subprocess.run(["mount", "--bind", stick, self.place], check=True)
        self.is_full = True

    def pull(self) -> None:
        """Take the stick out; fails while a process has a file of it open."""
        if self.is_full:
            subprocess.run(["umount", self.place], check=True)
        self.is_full = False


def on_sticks(bundle: Path, folder: Path) -> list[Path]:
    """Put each pack on a stick of its own, with all the small files."""
    packs = sorted(bundle.glob("*.pack"))
    for pack in packs:
        stick = Path(shutil.copytree(bundle, folder / pack.stem))
        for other in packs:
            if other != pack:
                (stick / other.name).unlink()
    return [folder / pack.stem for pack in packs]


def at_a_terminal(host: Host, slot: Slot, *args: str | Path) -> Terminal:
    """Install from the stick that is in, as the guide says, standing on it."""
    places = ["--state-dir", host.state, "--config-dir", host.config]
    command = [sys.executable, "-I", "-B", PYZ, "install", ".", "--swap"]
    engine = ["--engine", host.engine or "/var/run/docker.sock"]
    return Terminal([*command, *places, *engine, *args], cwd=slot.place)
