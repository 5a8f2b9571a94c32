"""Bring a site up to a bundle: what was given is written, secrets are made or asked."""

from __future__ import annotations

import getpass
import os
import sys
from typing import List, Mapping, Optional, Sequence

from sealift_manifests.errors import SealiftError, UsageError
from sealift_manifests.model import Manifest
from sealift_manifests.settings import Secret, Setting

from sealift_installer import durable
from sealift_installer.host import Host
from sealift_installer.site import (
    Site,
    change_file,
    read_file,
    require_given,
    site_of,
)
from sealift_installer.site_file import written_value
from sealift_installer.site_secrets import (
    as_secret,
    generated,
    missing_secrets,
    put_secret,
)
from sealift_installer.standing import standing_of


def settle_site(host: Host, manifest: Manifest, given: Mapping[str, str]) -> Site:
    """Write what was given, make the secrets that are to be made; return the site.

    The caller holds the lock.
    """
    layout, stack = host.layout, manifest.stack
    values = require_given(manifest, given)
    if stack is None or not stack.leaves_open:
        return site_of(layout, manifest)
    with durable.failures_told(layout.config):
        if values:
            change_file(layout, manifest.name, values)
        for secret in missing_secrets(layout, manifest.name, stack.secrets):
            if secret.generate:
                put_secret(layout, manifest.name, secret.label, generated(secret))
                host.report.step(f"made the secret {secret.label}")
    return site_of(layout, manifest)


def settle_to_start(host: Host, manifest: Manifest, given: Mapping[str, str]) -> Site:
    """Do the same, and ask for missing secrets where somebody is there."""
    with host.locked():
        site = settle_site(host, manifest, given)
        if site.asked and host.report.can_ask:
            for secret in site.asked:
                ask_secret(host, manifest, secret)
            site = site_of(host.layout, manifest)
        for fault in site.idle:
            host.report.step(f"in the site file, {fault}")
        return site


def ask_secret(host: Host, manifest: Manifest, secret: Secret) -> None:
    """Have a secret typed, unseen, and keep it."""
    if not host.report.can_ask:
        raise UsageError(
            f"nobody is there to type the secret {secret.label}",
            hint=f"Use --secret {secret.label}=FILE, or {secret.label}=- to read it "
            "from standard input.",
        )
    about = f" ({secret.help})" if secret.help else ""
    text = getpass.getpass(f"{secret.label}{about}: ", sys.stderr)
    data = as_secret(text.encode("utf-8", "surrogateescape"), secret.label)
    put_secret(host.layout, manifest.name, secret.label, data)


def ask_settings(host: Host, manifest: Manifest) -> None:
    """Ask for each setting; an empty line keeps what there is."""
    if not host.report.can_ask:
        raise UsageError(
            "nobody is there to be asked",
            hint="Give values with --set NAME=VALUE, or write the file by hand.",
        )
    site = site_of(host.layout, manifest)
    given = {}
    for one in site.chosen:
        value = _ask_one(host, one.setting, one.value)
        if value is not None:
            given[one.setting.name] = value
    change_file(host.layout, manifest.name, given)
    for secret in site.asked:
        ask_secret(host, manifest, secret)


def _ask_one(host: Host, setting: Setting, value: Optional[str]) -> Optional[str]:
    if setting.help:
        host.report.step(setting.help)
    while True:
        kept = f" [{value}]" if value is not None else ""
        text = host.report.ask(f"{setting.name}, {setting.range}{kept}:")
        if text is None or (not text and value is not None):
            return None
        try:
            return setting.read(text)
        except ValueError as error:
            host.report.step(f"{setting.name} {error}")


def template(host: Host, manifest: Manifest) -> str:
    """Return a site file with every setting, those with defaults as comments."""
    given = read_file(host.layout, manifest.name)
    lines = [f"# Settings of {manifest.name} {manifest.version} on this site."]
    for setting in manifest.stack.settings if manifest.stack else ():
        lines.append("")
        lines += [f"# {text}" for text in (setting.help, setting.range) if text]
        lines += _template_lines(setting, given.values.get(setting.name))
    return "\n".join(lines)


def _template_lines(setting: Setting, value: Optional[str]) -> List[str]:
    if value is not None:
        return [f"{setting.name}: {written_value(value)}"]
    if setting.default is not None:
        return [f"#{setting.name}: {written_value(setting.default)}"]
    return [
        "# It has no default: take the # out and give a value.",
        f"#{setting.name}: ",
    ]


def new_settings(host: Host, manifest: Manifest) -> Sequence[Setting]:
    """Return the settings that the release before the one in use did not have."""
    try:
        before = standing_of(host.layout, manifest.name).previous
    except SealiftError:
        before = None  # `releases` tells of it.
    if manifest.stack is None or before is None:
        return ()
    stack = before.manifest.stack
    known = {each.name for each in stack.settings} if stack else set()
    return [each for each in manifest.stack.settings if each.name not in known]


def forget_site(host: Host, bundle: str) -> List[str]:
    """Remove the settings and secrets of a bundle; return what there was."""
    gone = left_of_site(host, bundle)
    with durable.failures_told(host.layout.config):
        for path in gone:
            durable.remove_any(path)
            durable.sync_directory(os.path.dirname(path))
    return gone


def left_of_site(host: Host, bundle: str) -> List[str]:
    """Return where this site has settings and secrets of a bundle."""
    places = (host.layout.site(bundle), host.layout.secrets(bundle))
    return [path for path in places if os.path.lexists(path)]
