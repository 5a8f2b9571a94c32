"""The login that Docker's own configuration holds for a registry.

Reads `config.json` and asks credential helpers; stores nothing, and puts no
secret into an error.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sealift_manifests.errors import SourceUnreachableError
from sealift_manifests.references import DOCKER_HUB

_HUB_KEY = "https://index.docker.io/v1/"
_HUB_ALIASES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_HELPER_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_HELPER_SECONDS = 60
_NOT_FOUND = b"credentials not found"
_TOKEN_USER = "<token>"


@dataclass(frozen=True)
class Credential:
    """A login: a user with a password, or an identity token for a token server."""

    username: str
    secret: str = field(repr=False)
    is_identity_token: bool = False


def find_credential(
    registry: str, *, environ: Mapping[str, str] = os.environ
) -> Credential | None:
    """Return the login for a registry, or None to go on without one."""
    path = _config_path(environ)
    config = _read_config(path)
    for helper in _helpers(config, registry, path):
        found = _ask_helper(helper, registry, environ)
        if found is not None:
            return found
    entry = _for_registry(_table(config, "auths", path), registry)
    return None if entry is None else _from_entry(entry, registry, path)


def _config_path(environ: Mapping[str, str]) -> Path:
    directory = environ.get("DOCKER_CONFIG")
    if directory:
        return Path(directory, "config.json")
    return Path(environ.get("HOME") or Path.home(), ".docker", "config.json")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SourceUnreachableError(
            f"{path} cannot be read: {error.strerror}",
            hint="Make it readable, or point DOCKER_CONFIG at another directory.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise _bad_config(path, "is not JSON") from error
    if not isinstance(config, dict):
        raise _bad_config(path, "is not a JSON object")
    return config


def _table(config: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    table = config.get(name)
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise _bad_config(path, f"has a {name!r} that is not an object")
    return table


def _helpers(config: dict[str, Any], registry: str, path: Path) -> Iterable[str]:
    """Name the helpers to ask, the registry's own before the common one."""
    own = _for_registry(_table(config, "credHelpers", path), registry)
    for name in (own, config.get("credsStore")):
        if not name:
            continue
        if not isinstance(name, str) or not _HELPER_NAME.fullmatch(name):
            raise _bad_config(path, f"names a credential helper {str(name)[:80]!r}")
        yield name


def _for_registry(table: dict[str, Any], registry: str) -> Any:
    """Find the entry of a registry; keys are hosts or, from old times, URLs."""
    wanted = _HUB_ALIASES if registry == DOCKER_HUB else {registry}
    if registry == DOCKER_HUB and _HUB_KEY in table:
        return table[_HUB_KEY]
    for key in sorted(table, key=lambda key: (key not in wanted, key)):
        if _host_of_key(key) in wanted:
            return table[key]
    return None


def _host_of_key(key: str) -> str:
    """Tell a login's host; docker keeps other things under longer paths."""
    host, _, path = key.partition("://")[2].partition("/")
    return host if path.strip("/") in ("", "v1", "v2") and host else key


def _from_entry(entry: Any, registry: str, path: Path) -> Credential | None:
    if not isinstance(entry, dict):
        raise _bad_config(path, f"has a login for {registry} that is not an object")
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Credential(_TOKEN_USER, token, is_identity_token=True)
    encoded = entry.get("auth")
    if not isinstance(encoded, str) or not encoded:
        return None
    try:
        # No cause is chained: the text of a decoding error holds the secret.
        decoded = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    user, colon, password = decoded.partition(":")
    if not colon:
        raise _bad_config(path, f"has a login for {registry} that cannot be decoded")
    return Credential(user, password.rstrip("\0"))


def _ask_helper(
    name: str, registry: str, environ: Mapping[str, str]
) -> Credential | None:
    program = f"docker-credential-{name}"
    server = _HUB_KEY if registry == DOCKER_HUB else registry
    try:
        done = subprocess.run(
            [program, "get"],
            input=server.encode(),
            capture_output=True,
            timeout=_HELPER_SECONDS,
            check=False,
            env=dict(environ),
        )
    except subprocess.TimeoutExpired:
        # Not chained: the exception carries what the helper had printed.
        raise _bad_helper(
            program, registry, f"gave no answer within {_HELPER_SECONDS} s"
        ) from None
    except OSError as error:
        raise _bad_helper(
            program, registry, f"cannot be run: {error.strerror}"
        ) from error
    if done.returncode != 0:
        if _NOT_FOUND in done.stdout or _NOT_FOUND in done.stderr:
            return None
        raise _bad_helper(program, registry, f"failed with status {done.returncode}")
    return _from_helper(done.stdout, program, registry)


def _from_helper(output: bytes, program: str, registry: str) -> Credential | None:
    try:
        answer = json.loads(output)
        user, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        user = secret = None
    if not isinstance(user, str) or not isinstance(secret, str):
        raise _bad_helper(program, registry, "gave an answer that is not a login")
    if not secret:
        return None
    return Credential(user, secret, is_identity_token=user == _TOKEN_USER)


def _bad_config(path: Path, what: str) -> SourceUnreachableError:
    return SourceUnreachableError(
        f"{path} {what}",
        hint="Repair or remove the file, and log in again with docker login.",
    )


def _bad_helper(program: str, registry: str, what: str) -> SourceUnreachableError:
    return SourceUnreachableError(
        f"the credential helper {program}, which Docker's config.json names for "
        f"{registry}, {what}",
        hint=f"See that it works with docker login {registry}, or take it out of "
        "credsStore and credHelpers in config.json.",
    )
