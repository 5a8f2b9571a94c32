"""Follows a tar as it streams by, in pieces of any size, in constant memory.

Only looks on: whoever carries the bytes does not depend on it, so a tar that cannot
be followed ends the watch and raises nothing. Says nothing of what files mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

_BLOCK = 512
_MOST_EXTENSION = 1 << 20
_FILES = (0, ord("0"), ord("7"))
_WITHOUT_BODY = b"123456"
_KINDS = {ord("1"): "link", ord("2"): "link", ord("5"): "directory"}


class Sink(Protocol):
    """Takes the content of a member, piece by piece."""

    def write(self, data: bytes) -> None:
        """Take the next bytes."""

    def close(self) -> None:
        """Be told that the member is complete."""


@dataclass(frozen=True)
class Member:
    """An entry of a tar: `kind` is "file", "link" (of any sort), "directory", "other".

    `path` has no leading slash; it is "" for the root and for one with "..". `mode` are
    the permission bits, `owner` is a uid; both are 0 where the tar has no number.
    """

    path: str
    kind: str
    size: int
    mode: int = 0
    owner: int = 0


@dataclass
class _Body:
    """What is left of a member's content, its padding, and who takes it."""

    left: int
    padding: int
    sink: Sink | None = None


@dataclass
class _Collected:
    """An extension header's own content; it describes the next member."""

    data: bytearray = field(default_factory=bytearray)

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        pass


class TarWatch:
    """Calls `on_member` for each member; what that returns gets the content."""

    def __init__(self, on_member: Callable[[Member], Sink | None]) -> None:
        self._on_member = on_member
        self._head = bytearray()
        self._body: _Body | None = None
        self._extension: tuple[int, _Collected] | None = None
        self._given: dict[str, bytes] = {}
        self._ended = False
        self.is_whole = True
        """Whether everything so far could be followed."""

    def feed(self, data: bytes) -> None:
        """Look at the next bytes."""
        view = memoryview(data)
        while view and self.is_whole and not self._ended:
            go_on = self._through_body if self._body else self._through_head
            view = go_on(view)

    def finish(self) -> bool:
        """Return whether all of the tar was followed, once it is over."""
        # Some writers leave the two blocks at the end out; the rest must be there.
        return self.is_whole and (self._ended or not (self._head or self._body))

    def _through_head(self, view: memoryview) -> memoryview:
        taken = view[: _BLOCK - len(self._head)]
        self._head += taken
        if len(self._head) == _BLOCK:
            head, self._head = bytes(self._head), bytearray()
            try:
                self._begin(head)
            except ValueError:
                self.is_whole = False
        return view[len(taken) :]

    def _through_body(self, view: memoryview) -> memoryview:
        assert self._body is not None
        body, taken = self._body, view[: self._body.left]
        if taken and body.sink:
            body.sink.write(bytes(taken))
        body.left -= len(taken)
        view = view[len(taken) :]
        if not body.left:
            skipped = min(body.padding, len(view))
            body.padding -= skipped
            view = view[skipped:]
            if not body.padding:
                self._end_member(body)
        return view

    def _end_member(self, body: _Body) -> None:
        self._body = None
        if body.sink:
            body.sink.close()
        if self._extension:
            flag, collected = self._extension
            self._extension = None
            try:
                self._given |= _meaning(flag, bytes(collected.data))
            except ValueError:
                self.is_whole = False

    def _begin(self, head: bytes) -> None:
        if not any(head):
            self._ended = True
            return
        _check_sum(head)
        flag, size = head[156], _number(head[124:136])
        if flag in b"xgLK":
            if size > _MOST_EXTENSION:
                raise ValueError("an extension too large")
            collected = _Collected()
            self._extension = (flag, collected)
            self._open(size, collected)
            return
        if flag in b"SMVDN":
            raise ValueError("a form that is not followed")
        given, self._given = self._given, {}
        if "size" in given:
            size = int(given["size"])
        path = _clean(given.get("path") or _name(head))
        kind = "file" if flag in _FILES else _KINDS.get(flag, "other")
        if flag in _WITHOUT_BODY:
            size = 0
        if size < 0:
            raise ValueError("a negative size")
        mode, owner = _loosely(head[100:108]) & 0o7777, _loosely(head[108:116])
        self._open(size, self._on_member(Member(path, kind, size, mode, owner)))

    def _open(self, size: int, sink: Sink | None) -> None:
        self._body = _Body(size, -size % _BLOCK, sink)
        if not size:
            self._end_member(self._body)


def _check_sum(head: bytes) -> None:
    wanted = _number(head[148:156])
    if wanted != sum(head[:148]) + sum(head[156:]) + 8 * 32:
        raise ValueError("a header that does not add up")


def _number(digits: bytes) -> int:
    if digits[0] & 0x80:
        return int.from_bytes(bytes([digits[0] & 0x7F]) + digits[1:], "big")
    return int(digits.strip(b" \0") or b"0", 8)


def _loosely(digits: bytes) -> int:
    try:
        return _number(digits)
    except ValueError:
        return 0


def _name(head: bytes) -> bytes:
    name, prefix = head[:100].partition(b"\0")[0], b""
    if head[257:263] == b"ustar\0":
        prefix = head[345:500].partition(b"\0")[0]
    return prefix + b"/" + name if prefix else name


def _clean(name: bytes) -> str:
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        return ""
    return b"/".join(parts).decode("utf-8", "replace")


def _meaning(flag: int, data: bytes) -> dict[str, bytes]:
    """Return what an extension says of the next member."""
    if flag == ord("L"):
        return {"path": data.partition(b"\0")[0]}
    if flag != ord("x"):
        return {}
    found = {}
    while data:
        length, _, _ = data.partition(b" ")
        end = int(length)
        record, data = data[len(length) + 1 : end], data[end:]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise ValueError("a broken extension")
        found[key.decode("utf-8", "replace")] = value[:-1]
    return {key: found[key] for key in ("path", "size") if key in found}
