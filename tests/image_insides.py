"""Layers with the files that matter to a GPU: small, but each in its real form.

The compat library is an ELF file with a table of sections and NVIDIA's note.
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections.abc import Mapping

from sealift_bundler.insides.layers import LayerView, LayerWatch, merged
from sealift_bundler.insides.needs import ImageConfig, image_needs, with_insides
from sealift_manifests.preflight.needs import ImageNeeds
from sealift_manifests.preflight.tables import default_tables

NOTE_575 = {
    "format": 1,
    "CUDA version": "12.9",
    "driver": [535, 550, 560, 565, 570, 575],
    "device": [1, 2, 7, 8, 9, 10, 11, 12, 13, 14],
}
LIB_575 = "usr/local/cuda-12.9/compat/libcuda.so.575.57.08"
SITE = "usr/local/lib/python3.12/dist-packages"


def elf_note(
    note: object, *, owner: bytes = b"NVIDIA Corporation", align: int = 4
) -> bytes:
    """Return the bytes of a note section that holds JSON."""
    name, text = owner + b"\0", json.dumps(note).encode() + b"\0"
    head = struct.pack("<III", len(name), len(text), 1)
    padded = name + bytes(-len(name) % align)
    return head + padded + text + bytes(-len(text) % align)


def elf_library(
    sections: Mapping[bytes, bytes] | None = None, *, filling: int = 100_000
) -> bytes:
    """Return a 64-bit shared library with these sections; its table is at the end."""
    given = {b".text": bytes(filling), **(sections or {})}
    names = b"\0" + b"".join(name + b"\0" for name in (*given, b".shstrtab"))
    body, rows = bytearray(64), [bytes(64)]
    for name, data in {**given, b".shstrtab": names}.items():
        kind = 3 if name == b".shstrtab" else 7 if b"note" in name else 1
        place = (0, 0, len(body), len(data), 0, 0, 4, 0)
        rows.append(struct.pack("<IIQQQQIIQQ", names.index(name), kind, *place))
        body += data
    body += bytes(-len(body) % 8)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    table = (64, len(rows), len(rows) - 1)
    body[:64] = ident + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, len(body), 0, 64, 0, 0, *table
    )
    return bytes(body) + b"".join(rows)


def compat_library(note: object = NOTE_575) -> bytes:
    """Return a forward-compatibility libcuda with its note."""
    return elf_library({b".note.cuda.fwd_compatibility": elf_note(note)})


def torch_files(version: str, cuda: str | None, folder: str = SITE) -> dict[str, bytes]:
    """Return what torch leaves in an image that says what it is."""
    plain = version.partition("+")[0]
    stated = repr(cuda) if cuda else "None"
    code = (
        "from typing import Optional\n\n"
        "__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip']\n"
        f"__version__ = '{version}'\ndebug = False\ncuda: Optional[str] = {stated}\n"
        "git_version = 'abc'\nhip: Optional[str] = None\n"
    )
    return {
        f"{folder}/torch-{plain}.dist-info/METADATA": metadata("torch", plain),
        f"{folder}/torch/version.py": code.encode(),
    }


def package(name: str, version: str, folder: str = SITE) -> dict[str, bytes]:
    """Return the METADATA of an installed package."""
    return {f"{folder}/{name}-{version}.dist-info/METADATA": metadata(name, version)}


def metadata(name: str, version: str) -> bytes:
    """Return METADATA as installers write it."""
    text = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n\nVersion: 0\n"
    return text.encode()


def a_tar(
    files: Mapping[str, bytes] | None = None,
    *,
    links: Mapping[str, str] | None = None,
    folders: tuple[str, ...] = (),
    form: int = tarfile.PAX_FORMAT,
) -> bytes:
    """Return a layer's plain tar. A name that begins with .wh. is a whiteout."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name in folders:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        for name, data in (files or {}).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return out.getvalue()


def viewed(tar: bytes, piece: int = 10_000) -> LayerView:
    watch = LayerWatch()
    for start in range(0, len(tar), piece):
        watch.feed(tar[start : start + piece])
    return watch.view()


def needs_of_layers(
    *layers: bytes,
    platform: str = "linux/amd64",
    repository: str = "",
    **environment: str,
) -> ImageNeeds:
    config = ImageConfig(environment)
    needs = image_needs("server", platform, config)
    files = merged([viewed(tar) for tar in layers])
    tables = default_tables()
    return with_insides(needs, config, files, tables, repository=repository)
