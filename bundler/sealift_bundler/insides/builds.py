"""Which programs with GPU code an image has, and for which GPUs they were built.

By the tables of published builds. A build of someone's own is for GPUs that nobody
knows here, and is said to be so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sealift_manifests.preflight.needs import Build
from sealift_manifests.preflight.tables import KnownBuild, Tables
from sealift_manifests.preflight.versions import at_least, major_minor

from .layers import Found

_PACKAGE = re.compile(r"(.*/)?((?:site|dist)-packages)/([^/]+)\.dist-info/METADATA\Z")
_VERSION = re.compile(r"^Version:\s*(\S{1,80})\s*$", re.MULTILINE)
_TORCH_VERSION = re.compile(
    r"^__version__\s*(?::[^=]*)?=\s*['\"]([^'\"]{1,80})", re.MULTILINE
)
_TORCH_CUDA = re.compile(
    r"^cuda\s*(?::[^=]*)?=\s*['\"]([0-9.]{1,20})['\"]", re.MULTILINE
)
_LLAMA = re.compile(r"libllama\.so\.0\.0\.([0-9]+)\Z")
_LOCAL_CUDA = re.compile(r"\+cu([0-9]+)([0-9])\Z")
_PUBLISHED = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:\.post[0-9]+)?(?:\+cu[0-9]{3})?\Z")
_NAMES = {"tensorrt_llm": "tensorrt-llm", "sgl_kernel": "sgl-kernel"}


@dataclass(frozen=True)
class Home:
    """The image that builds are in: its platform and CUDA_VERSION.

    `repository`: where it was pulled from, "" where it was not.
    """

    platform: str
    cuda: str = ""
    repository: str = ""


def builds_of(
    files: Mapping[str, Found], tables: Tables, home: Home
) -> tuple[Build, ...]:
    """Return the builds that these files of an image show, each once."""
    found = set(_python_builds(files, tables, home.platform))
    for path in files:
        folder, _, name = path.rpartition("/")
        if name == "libggml-cuda.so":
            found.add(_llama_cpp(_number(files, folder), tables, home))
    return tuple(sorted(found, key=lambda build: (build.what, build.version or "")))


def _number(files: Mapping[str, Found], folder: str) -> str | None:
    """Return the number of the build that a library beside is named for."""
    names = {path.removeprefix(f"{folder}/") for path in files}
    numbers = [match[1] for name in names if (match := _LLAMA.match(name))]
    return numbers[0] if len(numbers) == 1 else None


def _llama_cpp(number: str | None, tables: Tables, home: Home) -> Build:
    """Return a build of llama.cpp; of one that its makers did not publish, little."""
    version = f"b{number}" if number else None
    for row in tables.builds:
        is_theirs = row.what == "llama.cpp" and row.image == home.repository
        is_of_cuda = major_minor(row.cuda) == major_minor(home.cuda)
        if is_theirs and is_of_cuda and at_least(number, row.first or "0"):
            native = _native(row, home.platform)
            return Build("llama.cpp", version, row.cuda, native, row.ptx)
    return Build("llama.cpp", version)


def _python_builds(
    files: Mapping[str, Found], tables: Tables, platform: str
) -> Iterator[Build]:
    for path, file in files.items():
        match = _PACKAGE.match(path)
        if not match:
            continue
        folder = f"{match[1] or ''}{match[2]}"
        what = match[3].partition("-")[0].lower()
        torch = files.get(f"{folder}/torch/version.py", Found()).text
        version = _first(_VERSION, file.text)
        cuda = _first(_TORCH_CUDA, torch)
        if what == "torch":
            if torch and cuda is None:
                continue  # A build for processors: there is no GPU code in it.
            version = _first(_TORCH_VERSION, torch) or version
        # Packages beside it are built for the CUDA of their torch, or say otherwise.
        local = _LOCAL_CUDA.search(version or "")
        cuda = f"{local[1]}.{local[2]}" if local else cuda
        row = _known(tables, what, version, cuda)
        yield Build(
            what=_NAMES.get(what, what),
            version=version,
            cuda=cuda,
            native=_native(row, platform),
            ptx=row.ptx if row else None,
        )


def _known(
    tables: Tables, what: str, version: str | None, cuda: str | None
) -> KnownBuild | None:
    if not _PUBLISHED.match(version or ""):
        return None
    for row in tables.builds:
        if row.what != what or major_minor(row.cuda) != major_minor(cuda):
            continue
        is_new_enough = row.first is None or at_least(version, row.first)
        last = major_minor(row.last)
        if is_new_enough and (last is None or (major_minor(version) or last) <= last):
            return row
    return None


def _native(row: KnownBuild | None, platform: str) -> tuple[str, ...] | None:
    if row is None:
        return None
    if platform == "linux/arm64":
        # Wheels for arm64 are built for fewer GPUs; which, the row may not know.
        return row.native_arm64
    return row.native


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match[1] if match else None
