"""Which files of interest each layer brings and takes away; then what is left.

A layer is watched while it streams by for another reason. What is kept of it are a
few small texts and notes, and the names it removes.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO

from sealift_bundler.leaks.rules import MOST_TEXT, Leak, SecretValues, leaks_in

from .elfnote import CompatNote, read_compat_note
from .tarwatch import Member, Sink, TarWatch

PACKAGES = ("torch", "vllm", "tensorrt_llm", "sgl_kernel")
"""Python packages with GPU code, as their .dist-info directories are called."""

LIBRARY = re.compile(
    r"usr/local/cuda[^/]*/compat/(?:[^/]+/)*libcuda\.so\.([0-9]+(?:\.[0-9]+)+)\Z"
)
OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
_DEVEL = re.compile(
    r"usr/local/cuda[^/]*/(?:.*/)?"
    r"(?:[^/]+\.(?:a|h|hpp|cuh|inl)|nvcc|cicc|ptxas|nvlink|fatbinary|nvvm/.+)\Z"
)
_TEXT = re.compile(
    r"(?:etc|usr/lib)/os-release\Z"
    r"|etc/ld\.so\.conf(?:\.d/[^/]+\.conf)?\Z"
    r"|(?:.*/)?(?:site|dist)-packages/"
    rf"(?:(?:{'|'.join(PACKAGES)})-[^/]+\.dist-info/METADATA|torch/version\.py)\Z",
    re.IGNORECASE,
)
_PROGRAM = re.compile(
    r"(?!.*\bollama\b)(?:.*/)?(?:libggml-cuda\.so|libllama\.so\.0\.0\.[0-9]+)\Z"
)
_WEIGHTS = re.compile(r".*\.(?:safetensors|gguf|pt|pth|bin)\Z")
_LEAST_WEIGHTS = 8 << 20
_MOST_WEIGHTS = 200
_ON_THE_WAY = re.compile(
    r"usr(?:/lib)?\Z|usr(?:/local(?:/cuda[^/]*(?:/compat.*)?)?)?\Z|etc(?:/ld\.so\.conf\.d)?\Z"
    r"|(?:.*/)?(?:site|dist)-packages(?:/torch|/[^/]+\.dist-info)?\Z"
)
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_MOST_TEXT = 64 << 10
_MOST_LIBRARY = 512 << 20
_MOST_FILES = 500
_MOST_REMOVED = 200_000
_MOST_LEAKS = 1000
_BINARY_START = 4096


@dataclass(frozen=True)
class Found:
    """A file of interest: the start of a text, the note of a library, or weights.

    Of weights `mode` and `owner` (a uid) are kept.
    """

    text: str = ""
    note: CompatNote | None = None
    is_weights: bool = False
    mode: int = 0
    owner: int = 0


@dataclass(frozen=True)
class LayerView:
    """What a layer does to the files of interest.

    `removed`: names that hide what lower layers have there and below; `emptied`:
    directories that hide what lower layers have below. `whole`: all was followed.
    `leaks`: what looks like secrets; a layer above that removes it hides nothing.
    `inodes`: how many it takes at least, links left out. `devel_size`: bytes of what
    only compiling for CUDA needs.
    """

    found: Mapping[str, Found] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    emptied: frozenset[str] = frozenset()
    whole: bool = True
    inodes: int = 0
    leaks: tuple[Leak, ...] = ()
    devel_size: int = 0


class LayerWatch:
    """Watches one layer, unpacked; `view` is asked for at its end.

    `secrets` are values that must not be in it.
    """

    def __init__(self, secrets: SecretValues | None = None) -> None:
        self._secrets = secrets or {}
        self._leaks: set[Leak] = set()
        self._devel_size = 0
        self._tar = TarWatch(self._member)
        self._found: dict[str, Found] = {}
        self._removed: set[str] = set()
        self._emptied: set[str] = set()
        self._left_out = False
        self._inodes = 0
        self._weights = 0
        self.feed = self._tar.feed

    def view(self) -> LayerView:
        """Return what was seen."""
        whole = self._tar.finish() and not self._left_out
        removed, emptied = frozenset(self._removed), frozenset(self._emptied)
        return LayerView(
            found=dict(self._found),
            removed=removed,
            emptied=emptied,
            whole=whole,
            inodes=self._inodes,
            leaks=tuple(sorted(self._leaks)),
            devel_size=self._devel_size,
        )

    def _member(self, member: Member) -> Sink | None:
        folder, _, name = member.path.rpartition("/")
        self._inodes += member.kind != "link"
        if name == _OPAQUE:
            self._note(self._emptied, folder)
        elif name.startswith(_WHITEOUT):
            hidden = name.removeprefix(_WHITEOUT)
            self._note(self._removed, f"{folder}/{hidden}" if folder else hidden)
        elif self._is_of_interest(member.path):
            return self._interesting(member)
        elif member.kind == "file" and _is_weights(member):
            self._take_weights(member)
        elif member.kind != "directory" and _ON_THE_WAY.match(member.path):
            # A link or a file where lower layers may have a directory.
            self._note(self._removed, member.path)
        if member.kind == "file" and _DEVEL.match(member.path):
            self._devel_size += member.size
        if member.kind == "file" and 0 < member.size <= MOST_TEXT:
            return _Scan(self, member.path)
        return None

    def scan(self, path: str, data: bytes) -> None:
        """Look for secrets in a small file."""
        if len(self._leaks) < _MOST_LEAKS:
            self._leaks |= leaks_in(path, data, self._secrets)

    def _is_of_interest(self, path: str) -> bool:
        return any(kind.match(path) for kind in (LIBRARY, _TEXT, _PROGRAM))

    def _interesting(self, member: Member) -> Sink | None:
        self._found.pop(member.path, None)
        if member.kind != "file":
            self._note(self._removed, member.path)
            return None
        if len(self._found) >= _MOST_FILES:
            self._left_out = True
            return None
        self._found[member.path] = Found()
        if _TEXT.match(member.path):
            return _Text(self._found, member.path)
        if LIBRARY.match(member.path) and member.size <= _MOST_LIBRARY:
            return _Library(self._found, member.path)
        return None

    def _take_weights(self, member: Member) -> None:
        """Keep who may write weights; of very many files the first ones will do."""
        if self._weights < _MOST_WEIGHTS:
            self._weights += 1
            self._found[member.path] = Found(
                is_weights=True, mode=member.mode, owner=member.owner
            )

    def _note(self, names: set[str], name: str) -> None:
        if len(names) < _MOST_REMOVED:
            names.add(name)
        else:
            self._left_out = True


def _is_weights(member: Member) -> bool:
    return member.size >= _LEAST_WEIGHTS and bool(_WEIGHTS.match(member.path))


class _Scan:
    """Takes a small file together, to look for secrets; binary ones are let go."""

    def __init__(self, watch: LayerWatch, path: str) -> None:
        self._watch, self._path = watch, path
        self._data = bytearray()
        self._is_text = True

    def write(self, data: bytes) -> None:
        if not self._data:
            self._is_text = b"\0" not in data[:_BINARY_START]
        if self._is_text:
            self._data += data

    def close(self) -> None:
        self._watch.scan(self._path, bytes(self._data))


class _Text:
    """Keeps the start of a text."""

    def __init__(self, found: dict[str, Found], path: str) -> None:
        self._found, self._path = found, path
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        self._data += data[: _MOST_TEXT - len(self._data)]

    def close(self) -> None:
        self._found[self._path] = Found(text=self._data.decode("utf-8", "replace"))


class _Library:
    """Puts a library aside on disk: its table of sections stands at its end."""

    def __init__(self, found: dict[str, Found], path: str) -> None:
        self._found, self._path = found, path
        self._file: IO[bytes] | None = None
        self._failed = False

    def write(self, data: bytes) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115, closed in close
            self._file.write(data)
        except OSError:
            # Without room for it the library counts as one without a note.
            self._failed = True

    def close(self) -> None:
        if self._file:
            with self._file as file:
                if not self._failed:
                    note = read_compat_note(file)  # type: ignore[arg-type]
                    self._found[self._path] = Found(note=note)


def merged(views: Iterable[LayerView]) -> Mapping[str, Found] | None:
    """Return what an image has, from its layers, lowest first.

    None where a layer could not be followed to its end.
    """
    left: dict[str, Found] = {}
    for view in views:
        if not view.whole:
            return None
        left = {
            path: found for path, found in left.items() if not _is_hidden(path, view)
        }
        left |= view.found
    return left


def inodes_of(views: Iterable[LayerView]) -> int | None:
    """Return how many inodes layers take at least; None where one was not followed."""
    listed = list(views)
    if not all(view.whole for view in listed):
        return None
    return sum(view.inodes for view in listed)


def _is_hidden(path: str, view: LayerView) -> bool:
    if path in view.removed:
        return True
    folder = path
    while folder:
        folder = folder.rpartition("/")[0]
        if folder in view.removed or folder in view.emptied:
            return True
    return False
