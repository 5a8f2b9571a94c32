"""Ask a service over HTTP, straight: no proxy, no redirect, a limit on everything."""

from __future__ import annotations

import errno
import http.client
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Callable, Mapping, Optional, Type

from sealift_installer.engine import printable
from sealift_installer.reach import Address

MOST = 4 << 20
"""Bytes of an answer that are read; the rest is not looked at."""

_PIECE = 1 << 16
_CUT = "the answer broke off before its end"


@dataclass(frozen=True)
class Reply:
    """An answer. `first` is when its first byte came, `seconds` when the last did."""

    status: int
    body: bytes
    first: float
    seconds: float


class AskError(Exception):
    """No whole answer came. `refused`: nobody listens there, or it hung up.

    `no_way`: this host's network does not lead there. `strange`: what came is not HTTP.
    """

    def __init__(
        self,
        message: str,
        *,
        refused: bool = False,
        no_way: bool = False,
        strange: bool = False,
    ) -> None:
        super().__init__(message)
        self.refused = refused
        self.no_way = no_way
        self.strange = strange


def ask(
    address: Address,
    method: str,
    path: str,
    within: float,
    *,
    headers: Optional[Mapping[str, str]] = None,
    body: Optional[bytes] = None,
    clock: Callable[[], float] = time.monotonic,
) -> Reply:
    """Send one request, and read all of the answer in `within` seconds."""
    began = clock()
    connection = http.client.HTTPConnection(address.host, address.port, timeout=within)
    try:
        connection.connect()
        with _Watchdog(connection.sock, within - (clock() - began)):
            given = {"Connection": "close", "Accept": "*/*", **(headers or {})}
            connection.request(method, path, body, given)
            with connection.getresponse() as response:
                return _read(response, lambda: clock() - began)
    except (http.client.HTTPException, OSError) as error:
        raise _told(error, within) from error
    finally:
        connection.close()


def _read(response: http.client.HTTPResponse, passed: Callable[[], float]) -> Reply:
    pieces, size, first = [], 0, 0.0
    while size < MOST:
        piece = response.read1(_PIECE)
        first = first or passed()
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    if size < MOST and response.length:
        raise AskError(_CUT)
    return Reply(response.status, b"".join(pieces), first, passed())


class _Watchdog:
    """Ends a connection when its time is up, whatever is read or written just then.

    A limit on each read would not do: one byte now and then, in the headers or between
    chunks, keeps it off for ever; and a response that is read may have closed its
    socket. So this one has a handle of its own to the connection.
    """

    def __init__(self, wire: socket.socket, within: float) -> None:
        self._wire = wire.dup()
        self._rang = False
        self._timer = threading.Timer(max(within, 0.0), self._ring)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, kind: Optional[Type[BaseException]], *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        self._wire.close()
        if self._rang and (kind is None or issubclass(kind, Exception)):
            raise socket.timeout

    def _ring(self) -> None:
        self._rang = True
        # The other end may have hung up first.
        with suppress(OSError):
            self._wire.shutdown(socket.SHUT_RDWR)


def _told(error: Exception, within: float) -> AskError:
    if isinstance(error, socket.timeout):
        return AskError(f"no whole answer in {within:g} seconds")
    if isinstance(error, http.client.IncompleteRead):
        return AskError(_CUT)
    hung_up = isinstance(error, ConnectionError)
    no_way = getattr(error, "errno", None) in (errno.ENETUNREACH, errno.EHOSTUNREACH)
    strange = isinstance(error, http.client.HTTPException) and not hung_up
    return AskError(_words(error), refused=hung_up, no_way=no_way, strange=strange)


def _words(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, ConnectionError):
        return "the connection was closed before an answer came"
    if isinstance(error, OSError) and error.strerror:
        return printable(error.strerror)
    return f"what came is not HTTP ({printable(error, 200)})"
