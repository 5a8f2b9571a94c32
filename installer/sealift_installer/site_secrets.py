"""The secrets of a site: made here or brought by a person, never shown.

A file for each, 0444, since containers run as anybody and see the file itself; in
directories of 0700, so that on the host only root comes to it.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import string
from typing import Iterable, Optional, Tuple

from sealift_manifests.errors import SettingsError, StagingError
from sealift_manifests.settings import Secret
from sealift_manifests.site_values import SettingFault

from sealift_installer import durable
from sealift_installer.layout import Layout

MAX_SECRET = 64 << 10
_HEADER_TEXT = re.compile(r"[ -~]+\Z")
_ALPHABET = string.ascii_letters + string.digits


def secret_path(layout: Layout, bundle: str, label: str) -> str:
    """Return the file of a secret."""
    return os.path.join(layout.secrets(bundle), label)


def missing_secrets(
    layout: Layout, bundle: str, wanted: Iterable[Secret]
) -> Tuple[Secret, ...]:
    """Return the secrets that this host has no file of, nor a broken one."""
    paths = {secret: secret_path(layout, bundle, secret.label) for secret in wanted}
    return tuple(
        secret
        for secret, path in paths.items()
        if not os.path.lexists(path) and _fault(path) is None
    )


def broken_secrets(
    layout: Layout, bundle: str, wanted: Iterable[Secret]
) -> Tuple[SettingFault, ...]:
    """Return what is wrong with secrets that are there: no start has any use of them.

    None is made anew: it may be that the store it lies in is not mounted yet.
    """
    found = []
    for secret in wanted:
        fault = _fault(secret_path(layout, bundle, secret.label))
        found += [SettingFault(secret.label, fault)] if fault else []
    return tuple(found)


def _fault(path: str) -> Optional[str]:
    folder = os.path.dirname(path)
    for place in (os.path.dirname(folder), folder, path):
        if os.path.islink(place) and not os.path.exists(place):
            return f"{place} leads to {os.path.realpath(place)}, which is not there"
    try:
        data = durable.read_file(path)
    except StagingError as error:
        return error.message
    return f"{path} is empty" if data is not None and not data.strip() else None


def sendable(layout: Layout, bundle: str, label: str) -> str:
    """Return a secret as a header of a request has it: one line.

    Raises SettingsError when it is not there or cannot be one.
    """
    path = secret_path(layout, bundle, label)
    data = durable.read_file(path)
    text = "" if data is None else data.decode("latin-1").rstrip("\r\n")
    if not _HEADER_TEXT.match(text):
        what = "is not there" if data is None else "is not one line of plain text"
        raise SettingsError(
            f"a smoke test sends the secret {label}, and {path} {what}",
            hint=f"Give it with `settings {bundle} --secret {label}` and start again.",
        )
    return text


def generated(secret: Secret) -> bytes:
    """Return a new value of letters and digits, which go into any URL or option."""
    count = secret.generate or 0
    return "".join(secrets.choice(_ALPHABET) for _ in range(count)).encode("ascii")


def as_secret(data: bytes, label: str) -> bytes:
    """Return what was read or typed as it is kept: of one line, without its end.

    Raises SettingsError for nothing, and for what is too much to be one.
    """
    body = data[:-1] if data.endswith(b"\n") else data
    body = body[:-1] if body.endswith(b"\r") else body
    kept = data if b"\n" in body else body
    if not kept.strip() or len(kept) > MAX_SECRET:
        size = "nothing" if not kept.strip() else f"more than {MAX_SECRET >> 10} KiB"
        raise SettingsError(
            f"what was given for the secret {label} is {size}",
            hint="Give a file with the secret alone.",
        )
    return kept


def put_secret(layout: Layout, bundle: str, label: str, data: bytes) -> None:
    """Write a secret, in one step."""
    folder = layout.secrets(bundle)
    durable.make_directories(layout.config)
    for each in (os.path.dirname(folder), folder):
        if not os.path.isdir(each):
            os.mkdir(each, 0o700)
            durable.sync_directory(os.path.dirname(each))
        os.chmod(each, 0o700)
    durable.replace_file(secret_path(layout, bundle, label), data, 0o444)


def stamp(layout: Layout, bundle: str, wanted: Iterable[Secret]) -> str:
    """Return what changes when a secret is written anew, and tells nothing of it."""
    state = hashlib.sha256()
    for secret in wanted:
        try:
            status = os.stat(secret_path(layout, bundle, secret.label))
        except OSError:
            continue
        state.update(f"{secret.label} {status.st_mtime_ns}\n".encode())
    return state.hexdigest()[:12]
