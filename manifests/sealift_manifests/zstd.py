"""Decoding one zstd frame with what the host has: libzstd.so.1 or Python 3.14.

A stored chunk is exactly one frame that states its content size. Everything that a
zstd stream may also be (several frames, skippable frames, dictionaries, unknown
sizes, windows that need much memory) is refused before a decoder sees it. Compressing
is the connected side's work and is not here.
"""

from __future__ import annotations

import ctypes
import threading
from functools import lru_cache
from importlib import import_module
from typing import Any, Callable, NamedTuple, Optional

from sealift_manifests.digests import Buffer
from sealift_manifests.errors import ManifestError, PreflightError

MAX_WINDOW = 8 << 20
"""What every decoder has to support (RFC 8878), and the largest chunk."""

_MAGIC = b"\x28\xb5\x2f\xfd"
_SONAME = "libzstd.so.1"
_OLDEST = 10400


class _Header(NamedTuple):
    content_size: Optional[int]
    window: int


class _Backend(NamedTuple):
    name: str
    unpack: Callable[[Buffer, memoryview], None]


def decompress(
    stored: Buffer, size: int, into: Optional[memoryview] = None
) -> memoryview:
    """Return the `size` bytes that `stored`, one zstd frame, stands for.

    They are written to `into` if it is given (writable, exactly `size` bytes long).
    The interpreter lock is free while the decoder runs.
    """
    if into is not None and (into.readonly or into.nbytes != size):
        raise ValueError(f"the target must be {size} writable bytes")
    header = _parse_header(bytes(stored[:18]))
    if header.content_size != size:
        raise invalid(f"it states a size of {header.content_size}, not {size}")
    if header.window > MAX_WINDOW:
        raise invalid(f"it asks for a window of {header.window} bytes")
    target = memoryview(bytearray(size)) if into is None else into
    _backend().unpack(stored, target)
    return target


def library() -> str:
    """Name the decoder of this host, such as `libzstd 1.5.4`.

    Raises PreflightError where there is none.
    """
    return _backend().name


def invalid(reason: str) -> ManifestError:
    """Return the error for stored bytes that are not what their codec prescribes."""
    return ManifestError(
        f"a stored chunk is not a valid zstd chunk: {reason}",
        hint="The bundle was written wrong, by something other than Sealift or by a "
        "faulty build. Ask the people who signed it for a new one.",
    )


def _parse_header(head: bytes) -> _Header:
    """Read a frame header (RFC 8878, 3.1.1.1), which is at most 18 bytes long."""
    if head[:4] != _MAGIC or len(head) < 6:
        raise invalid("it does not begin with a zstd frame")
    descriptor, at = head[4], 5
    if descriptor & 0b0000_1000:
        raise invalid("a reserved bit of its header is set")
    if descriptor & 0b0000_0011:
        raise invalid("it needs a dictionary")
    window = 0
    single_segment = bool(descriptor & 0b0010_0000)
    if not single_segment:
        base = 1 << (10 + (head[at] >> 3))
        window = base + (base >> 3) * (head[at] & 7)
        at += 1
    flag = descriptor >> 6
    length = 1 << flag if flag or single_segment else 0
    if len(head) < at + length:
        raise invalid("it ends within its header")
    if not length:
        return _Header(None, window)
    content_size = int.from_bytes(head[at : at + length], "little")
    if flag == 1:
        content_size += 256
    return _Header(content_size, window or content_size)


@lru_cache(maxsize=None)
def _backend() -> _Backend:
    for load in (_load_libzstd, _load_stdlib):
        backend = load()
        if backend:
            return backend
    raise PreflightError(
        f"this host has no zstd decoder ({_SONAME} 1.4 or later)",
        hint="Install the package libzstd1 (Debian, Ubuntu), libzstd (RHEL, Fedora), "
        "libzstd1 (SUSE) or zstd-libs (Alpine), or use Python 3.14 or later.",
    )


def _load_libzstd() -> Optional[_Backend]:
    # The soname is asked for directly: find_library runs ldconfig and compilers,
    # which a minimal host does not have. CDLL, unlike PyDLL, frees the lock.
    try:
        lib = ctypes.CDLL(_SONAME)
        version = int(lib.ZSTD_versionNumber())
        if version < _OLDEST:
            return None
        decoder = _Libzstd(lib)
    except (OSError, AttributeError):
        return None
    dotted = f"{version // 10000}.{version // 100 % 100}.{version % 100}"
    return _Backend(f"libzstd {dotted}", decoder.unpack)


def _load_stdlib() -> Optional[_Backend]:
    try:
        zstd = import_module("compression.zstd")
    except ImportError:
        return None
    return _Backend(f"compression.zstd {zstd.zstd_version}", _StdlibZstd(zstd).unpack)


class _Context:
    """A decoding context, freed with the thread that used it."""

    def __init__(self, lib: Any) -> None:
        self._free = lib.ZSTD_freeDCtx
        self.handle = lib.ZSTD_createDCtx()
        if not self.handle:
            raise MemoryError("no memory for a zstd context")

    def __del__(self) -> None:
        handle = getattr(self, "handle", None)
        if handle:
            self._free(handle)


class _Libzstd:
    """The shared library; one context per thread, as contexts cannot be shared."""

    def __init__(self, lib: Any) -> None:
        size, pointer = ctypes.c_size_t, ctypes.c_void_p
        for name, result, arguments in (
            ("ZSTD_createDCtx", pointer, ()),
            ("ZSTD_freeDCtx", size, (pointer,)),
            ("ZSTD_isError", ctypes.c_uint, (size,)),
            ("ZSTD_getErrorName", ctypes.c_char_p, (size,)),
            ("ZSTD_findFrameCompressedSize", size, (pointer, size)),
            ("ZSTD_decompressDCtx", size, (pointer, pointer, size, pointer, size)),
        ):
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
        self._lib = lib
        self._local = threading.local()

    def unpack(self, stored: Buffer, target: memoryview) -> None:
        source, length = _address(stored), len(stored)
        used = self._checked(self._lib.ZSTD_findFrameCompressedSize(source, length))
        if used != length:
            raise invalid("something follows its frame")
        written = self._checked(
            self._lib.ZSTD_decompressDCtx(
                self._context(), _address(target), len(target), source, length
            )
        )
        if written != len(target):
            raise invalid(f"it holds {written} bytes, not {len(target)}")

    def _context(self) -> int:
        if not hasattr(self._local, "context"):
            self._local.context = _Context(self._lib)
        handle: int = self._local.context.handle
        return handle

    def _checked(self, code: int) -> int:
        if self._lib.ZSTD_isError(code):
            name: bytes = self._lib.ZSTD_getErrorName(code)
            raise invalid(name.decode("ascii", "replace"))
        return code


def _address(data: Buffer) -> Any:
    """Return what ctypes passes as the address of `data`, and keeps alive."""
    if memoryview(data).readonly:
        # ctypes has no address of a read-only view; a copy costs a few per cent.
        return bytes(data)
    return ctypes.byref(ctypes.c_char.from_buffer(data)) if len(data) else None


class _StdlibZstd:
    """`compression.zstd` of Python 3.14 and later."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def unpack(self, stored: Buffer, target: memoryview) -> None:
        limit = self._module.DecompressionParameter.window_log_max
        decoder = self._module.ZstdDecompressor(
            options={limit: MAX_WINDOW.bit_length() - 1}
        )
        try:
            # One byte more than is due, so that an overlong frame shows itself.
            plain = decoder.decompress(stored, len(target) + 1)
        except self._module.ZstdError as error:
            raise invalid(str(error)) from error
        if not decoder.eof or len(plain) != len(target):
            raise invalid(f"its frame does not hold exactly {len(target)} bytes")
        if decoder.unused_data:
            raise invalid("something follows its frame")
        target[:] = plain
