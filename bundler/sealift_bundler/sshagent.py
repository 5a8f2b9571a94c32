"""Ask a running ssh-agent for its keys and for signatures.

Speaks the agent protocol over the unix socket in SSH_AUTH_SOCK, so a key in a YubiKey,
smartcard or TPM never enters this process. Knows nothing of bundles.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sealift_manifests.errors import SigningError
from sealift_manifests.sshwire import WireReader, put_string, put_u32

LIST_SECONDS = 10.0
SIGN_SECONDS = 120.0
"""A person may have to touch a token or type a PIN."""

MAX_MESSAGE = 200 * 1024
"""OpenSSH's agent takes requests of at most 256 KiB."""

_REQUEST_IDENTITIES = 11
_IDENTITIES_ANSWER = 12
_SIGN_REQUEST = 13
_SIGN_RESPONSE = 14
_START_HINT = (
    "Start one and add the key (eval $(ssh-agent); ssh-add KEYFILE), or sign with a "
    "key file instead."
)


@dataclass(frozen=True)
class AgentKey:
    """A key that the agent holds, of whatever type."""

    blob: bytes
    comment: str


def list_keys() -> tuple[AgentKey, ...]:
    """Return the keys that the agent holds, in its order."""
    answer = _ask(bytes([_REQUEST_IDENTITIES]), LIST_SECONDS)
    with _well_formed():
        if answer.take(1)[0] != _IDENTITIES_ANSWER:
            raise SigningError(
                "the ssh-agent refused to list its keys",
                hint="It may be locked: unlock it with ssh-add -X.",
            )
        keys = tuple(
            AgentKey(answer.string(), answer.string().decode("utf-8", "replace"))
            for _ in range(answer.u32())
        )
        answer.end()
    return keys


def sign(blob: bytes, data: bytes) -> bytes:
    """Return the agent's signature on `data`, type name and value together."""
    if len(data) > MAX_MESSAGE:
        raise SigningError(
            f"{len(data)} bytes are too many for an ssh-agent to sign",
            hint="Sign with a key file, or use larger parts so that there are fewer.",
        )
    request = bytes([_SIGN_REQUEST]) + put_string(blob) + put_string(data) + put_u32(0)
    answer = _ask(request, SIGN_SECONDS)
    with _well_formed():
        if answer.take(1)[0] != _SIGN_RESPONSE:
            raise SigningError(
                "the ssh-agent refused to sign with the key",
                hint="It may ask for a touch, a PIN or a confirmation: watch for that "
                "and try again. ssh-add -l shows which keys it holds.",
            )
        signature = answer.string()
        answer.end()
    return signature


@contextmanager
def _well_formed() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise SigningError(
            f"the ssh-agent gave a malformed answer: {error}", hint=_START_HINT
        ) from error


def _ask(request: bytes, seconds: float) -> WireReader:
    path = os.environ.get("SSH_AUTH_SOCK")
    if not path:
        raise SigningError(
            "there is no ssh-agent: SSH_AUTH_SOCK is not set", hint=_START_HINT
        )
    deadline = time.monotonic() + seconds
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
            agent.settimeout(seconds)
            agent.connect(path)
            agent.sendall(put_string(request))
            size = int.from_bytes(_receive(agent, 4, deadline), "big")
            if not 0 < size <= 256 * 1024:
                raise OSError(f"an answer of {size} bytes is announced")
            return WireReader(_receive(agent, size, deadline))
    except TimeoutError as error:
        raise SigningError(
            f"the ssh-agent at {path} did not answer within {seconds:.0f} seconds",
            hint="If the key is in a token, touch it or type its PIN when it asks.",
        ) from error
    except OSError as error:
        raise SigningError(
            f"the ssh-agent at {path} cannot be used: {error}", hint=_START_HINT
        ) from error


def _receive(agent: socket.socket, size: int, deadline: float) -> bytes:
    data = b""
    while len(data) < size:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        agent.settimeout(left)
        more = agent.recv(size - len(data))
        if not more:
            raise ConnectionError("it closed the connection")
        data += more
    return data
