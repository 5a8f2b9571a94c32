"""Ask a service over HTTP, straight: no proxy, no redirect, a limit on everything."""

from __future__ import annotations

import http.client
import socket
import time
from dataclasses import dataclass
from typing import Callable, Mapping, Optional

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
    """No whole answer came. `refused`: nobody listens there, or it hung up."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


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
        wire = connection.sock
        given = {"Connection": "close", "Accept": "*/*", **(headers or {})}
        connection.request(method, path, body, given)
        response = connection.getresponse()
        pieces, size, first = [], 0, 0.0
        while size < MOST:
            left = within - (clock() - began)
            if left <= 0:
                raise socket.timeout
            wire.settimeout(left)
            piece = response.read1(_PIECE)
            first = first or clock() - began
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
        if size < MOST and response.length:
            raise AskError(_CUT)
        return Reply(response.status, b"".join(pieces), first, clock() - began)
    except (http.client.HTTPException, OSError) as error:
        raise _told(error, within) from error
    finally:
        connection.close()


def _told(error: Exception, within: float) -> AskError:
    if isinstance(error, socket.timeout):
        return AskError(f"no whole answer in {within:g} seconds")
    if isinstance(error, http.client.IncompleteRead):
        return AskError(_CUT)
    hung_up = isinstance(error, (ConnectionError, http.client.BadStatusLine))
    return AskError(_words(error), refused=hung_up)


def _words(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, (ConnectionError, http.client.BadStatusLine)):
        return "the connection was closed before an answer came"
    if isinstance(error, OSError) and error.strerror:
        return printable(error.strerror)
    return f"what came is not HTTP ({printable(error, 200)})"
