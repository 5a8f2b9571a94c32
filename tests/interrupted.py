"""Installs in children of this process, and what must be true when one has finished."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from making import NO_ENGINE, a_key, build, listing, model_files, weights_spec
from mixed import mixed_model
from sealift_installer.cli import main
from sealift_installer.ledger import first_broken_line


@dataclass(frozen=True)
class Bundles:
    """Two releases of one bundle that share some files, and who signed them."""

    old: Path
    new: Path
    key: Path


def two_bundles(root: Path) -> Bundles:
    """Build the two, in a folder of their own."""
    key = a_key(root / "release")
    old = weights_spec(root / "old", "laws", model_files("old"), version="1", serial=1)
    files = {**model_files("old"), **mixed_model(500)}
    new = weights_spec(root / "new", "laws", files, version="2", serial=2)
    return Bundles(
        build(old, key, root / "out"), build(new, key, root / "out"), key.public
    )


def installer(root: Path, *words: str | Path) -> list[str]:
    """Return the arguments of the installer for the host below `root`."""
    places = ["--state-dir", root / "state", "--config-dir", root / "config"]
    options = [*places, "--engine", NO_ENGINE, "--json"]
    return [str(word) for word in (*words, *options)]


def in_a_child(work: Callable[[], int]) -> int:
    """Do this in a child process, quietly; return its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def run(root: Path, *words: str | Path) -> int:
    """Run the installer to its end."""
    return in_a_child(lambda: main(installer(root, *words)))


def leftovers(root: Path) -> list[str]:
    """Return names on the host that a finished install does not leave."""
    return [
        name
        for name in listing(root)
        if name.endswith((".partial", ".new", ".old")) or "journal/" in name
    ]


def expect_finished(host: Path, words: Sequence[str | Path], version: str) -> None:
    """Run the same command again; expect all that a whole install leaves."""
    assert run(host, *words) == 0
    assert run(host, "audit") == 0
    (current,) = (host / "state/current").iterdir()
    assert current.resolve().name.startswith(f"{version}-")
    assert (host / "state/serials/laws").exists()
    assert (host / "config/allowed_signers").exists()
    ledger = (host / "state/ledger.jsonl").read_bytes()
    assert first_broken_line(ledger) == 0
    done = [(e["event"], e["version"]) for e in map(json.loads, ledger.splitlines())]
    assert ("install", version) in done
    assert leftovers(host) == []
