"""What a copy of a volume of data would lose: attributes that no engine's archive has.

The copy goes through the engine, and so does its comparison, which cannot miss what
never came. So they are looked for in the volume's directory, where this host has it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import islice
from typing import Iterable, Iterator

from sealift_manifests.errors import UsageError

from sealift_installer.data_engine import find_volume
from sealift_installer.engine import printable
from sealift_installer.host import Host

# An archive has the first; the second is given anew wherever a file comes to lie.
_CARRIED = frozenset(("security.capability", "security.selinux"))
_SHOWN = 5


def require_no_attributes(host: Host, volumes: Iterable[str]) -> None:
    """Raise UsageError for volumes that hold attributes which a copy would lose.

    Nothing is known, and nothing raised, where the engine is on another host or the
    directory cannot be read.
    """
    if not host.engine.facts().is_local:
        return
    for name in volumes:
        place = (find_volume(host.engine, name) or {}).get("Mountpoint")
        found = list(islice(attributes(str(place)), _SHOWN + 1)) if place else []
        if found:
            more = ", and more" if len(found) > _SHOWN else ""
            raise UsageError(
                f"the copy of {name} would lose attributes: "
                + ", ".join(found[:_SHOWN])
                + more,
                hint=f"Nothing was replaced. Copy {place} by `cp -a` to a place of "
                "your own, then run this again with --without-attributes; or with "
                "that alone, if nobody needs them.",
            )


def attributes(root: str) -> Iterator[str]:
    """Yield in words each attribute of what lies below a directory, and of itself."""
    for folder, folders, files in os.walk(root):
        for name in [os.curdir, *sorted((*folders, *files))]:
            path = os.path.normpath(os.path.join(folder, name))
            if name == os.curdir and folder != root:
                continue  # It came up in the directory around it.
            with suppress(OSError):  # A file system without them.
                names = os.listxattr(path, follow_symlinks=False)
                for each in sorted(set(names) - _CARRIED):
                    yield printable(f"{each} of {os.path.relpath(path, root)}")
