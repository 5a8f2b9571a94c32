"""Make `sealift-installer.pyz`: the offline side as one file of readable Python.

The same sources give the same bytes: sorted names, fixed times, nothing compressed.
"""

from __future__ import annotations

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("sealift_manifests", "sealift_installer")
_EPOCH = (1980, 1, 1, 0, 0, 0)


def installer_bytes() -> bytes:
    """Return the zip application; start it with `python3 -I -B`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(_members().items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, data)
    return buffer.getvalue()


def _members() -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    for package in _PACKAGES:
        root = _directory(package)
        for path in (*root.rglob("*.py"), *root.rglob("*.json")):
            members[f"{package}/{path.relative_to(root).as_posix()}"] = (
                path.read_bytes()
            )
    members["__main__.py"] = members["sealift_installer/__main__.py"]
    return members


def _directory(package: str) -> Path:
    # Found, not imported: this side never runs the code of the other.
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is not installed beside sealift_bundler")
    return Path(found.submodule_search_locations[0])
