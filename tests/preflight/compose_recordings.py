"""Make `recordings/`: hosts composed from what vendors document, as file trees.

Run it to write them anew: python tests/preflight/compose_recordings.py
None was taken on hardware; each README says so. A host taken with `survey` on a
real machine is worth more than any of these.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from composed_hosts import hosts
from composed_parts import host
from hosttree import write_tree
from sealift_manifests.preflight.facts import (
    Driver,
    HostFacts,
)
from sealift_manifests.preflight.survey import dump_survey

RECORDINGS = Path(__file__).with_name("recordings")
BASE = RECORDINGS / "base"


def write(folder: Path, text: str, facts: HostFacts) -> None:
    """Write one recording."""
    write_tree(folder, facts)
    if facts.machine.kernel.endswith("tegra"):
        etc = folder / "root/etc/nv_tegra_release"
        etc.write_text("# R36 (release), REVISION: 4.0, BOARD: generic\n")
        tree = folder / "root/proc/device-tree"
        tree.mkdir(parents=True)
        (tree / "model").write_bytes(facts.gpus[0].name.encode() + b"\0")
    for path in sorted(BASE.rglob("*")):
        same = folder / path.relative_to(BASE)
        if path.is_file() and same.is_file() and same.read_bytes() == path.read_bytes():
            same.unlink()
    (folder / "facts.json").write_bytes(dump_survey(facts))
    (folder / "README.md").write_text(
        f"{text}\n\nComposed from documented outputs, not recorded on hardware.\n"
    )


def main() -> None:
    """Write all recordings anew; what most of them share lies in `base`."""
    for place in RECORDINGS.glob("*/"):
        shutil.rmtree(place)
    write_tree(BASE, host("base", Driver(), (), ""))
    for path in ("root/etc/docker", "root/proc/sys/kernel/hostname", "bin/modinfo"):
        place = BASE / path
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    for name, (text, facts) in hosts().items():
        write(RECORDINGS / name, text, facts)


if __name__ == "__main__":
    main()
