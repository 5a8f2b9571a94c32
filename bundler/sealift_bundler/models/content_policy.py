"""What a model's files could run on the host that loads them: pickles and code.

Decides by name and by the first bytes. Whether a header is true is checked where it
is read (`safetensors_header`); whether bytes are the upstream's, while packing.
"""

from __future__ import annotations

import ast
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sealift_manifests.errors import SourceContentError

from .files import ModelFile

Kind = Literal["pickle", "code"]

_PICKLE_SUFFIXES = frozenset(
    (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".dill", ".th")
)
_CODE_SUFFIXES = frozenset((".py", ".pyc", ".pyd", ".so", ".dll"))
_CONFIG_LIMIT = 16 << 20
_ARRAY_HEADER_LIMIT = 64 << 10
_CONFIG_NAME = re.compile(r"(?:.*_)?config\.json\Z")
# A tar, the oldest of PyTorch's formats, says so here.
_TAR_MAGIC_AT = 257


@dataclass(frozen=True, order=True)
class ContentFinding:
    """A file that could run something, the kind of leave it needs, and why."""

    path: str
    kind: Kind
    why: str


def find_content(files: Iterable[ModelFile]) -> tuple[ContentFinding, ...]:
    """Return every pickle and every piece of code among `files`, sorted."""
    return tuple(sorted(finding for file in files for finding in _of_file(file)))


def check_content(
    files: Iterable[ModelFile],
    allow: frozenset[Kind] = frozenset(),
    *,
    model: str = "the model",
) -> tuple[str, ...]:
    """Return the paths that `allow` lets through; raise for all that it does not."""
    findings = find_content(files)
    refused = [finding for finding in findings if finding.kind not in allow]
    if refused:
        needed = sorted({finding.kind for finding in refused} | allow, reverse=True)
        raise SourceContentError(
            f"{model} carries what could run code where it is loaded: "
            + "; ".join(f"{_shown(f.path)}: {f.why}" for f in refused),
            hint="Take a model with safetensors weights and without code, or leave "
            "these files out with `ignore`. If you have read them and trust them, "
            f"write `allow: [{', '.join(needed)}]` under this model in the spec; "
            "the bundle then says so.",
        )
    return tuple(sorted({finding.path for finding in findings}))


def _of_file(file: ModelFile) -> Iterator[ContentFinding]:
    if file.suffix in _PICKLE_SUFFIXES:
        yield ContentFinding(file.path, "pickle", f"pickled ({file.suffix})")
    elif file.suffix in _CODE_SUFFIXES:
        yield ContentFinding(file.path, "code", f"code ({file.suffix})")
    elif look := _LOOKS.get(file.suffix):
        if why := look(file):
            yield ContentFinding(file.path, "pickle", why)
    elif _CONFIG_NAME.match(file.name) and (why := _code_in_config(file)):
        yield ContentFinding(file.path, "code", why)


def _pickle_in_bin(file: ModelFile) -> str | None:
    start = file.read_start(512)
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a pickle"
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "a zip archive, as PyTorch writes pickles"
    if start[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
        return "a tar archive, as early PyTorch wrote pickles"
    return None


def _objects_in_npy(file: ModelFile) -> str | None:
    with file.open() as stream:
        return _objects_in_array(stream)


def _objects_in_npz(file: ModelFile) -> str | None:
    try:
        with file.open() as stream, zipfile.ZipFile(stream) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    why = _objects_in_array(member)
                if why:
                    return f"{_shown(name)} in it is {why}"
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        return f"an archive that cannot be looked into ({type(error).__name__})"
    return None


def _objects_in_array(stream: Any) -> str | None:
    """Say what NumPy would unpickle in this file, if anything."""
    start = stream.read(_ARRAY_HEADER_LIMIT)
    # NumPy takes a file without this magic for a pickle.
    if start[:6] != b"\x93NUMPY":
        return "no NumPy array, and a pickle to NumPy"
    wide = start[6:7] != b"\x01"
    at = 12 if wide else 10
    length = int.from_bytes(start[8:at], "little")
    try:
        text = start[at : at + length].decode("latin-1")
        header = ast.literal_eval(text.strip())
        objects = _names_objects(header["descr"])
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        return "a NumPy array whose header cannot be read"
    return "a NumPy array of pickled objects" if objects else None


def _names_objects(descr: Any) -> bool:
    """Say whether a dtype description has Python objects (`O`) at any depth."""
    if isinstance(descr, str):
        return "O" in descr
    return any(_names_objects(field[1]) for field in descr)


_LOOKS: dict[str, Callable[[ModelFile], str | None]] = {
    ".bin": _pickle_in_bin,
    ".npy": _objects_in_npy,
    ".npz": _objects_in_npz,
}


def _code_in_config(file: ModelFile) -> str | None:
    """Say which classes a configuration has loaded from files of the model."""
    if file.size > _CONFIG_LIMIT:
        return "too large to be looked into for auto_map"
    named: list[Any] = []

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # A dict keeps only the last of two equal keys; a loader may keep the first.
        named.extend(value for key, value in pairs if key == "auto_map" and value)
        return dict(pairs)

    try:
        json.loads(file.read_start(_CONFIG_LIMIT + 1), object_pairs_hook=note)
    except (ValueError, RecursionError):
        return "not JSON, so it cannot be looked into for auto_map"
    return f"auto_map names code ({_shown(str(named[0]))})" if named else None


def _shown(text: str) -> str:
    """Return foreign text short and harmless for a terminal."""
    return (text if text.isprintable() else ascii(text))[:120]
