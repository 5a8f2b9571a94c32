"""`settings`: what this site decides for a bundle: show it, set it, ask for it.

Settings stand in a file that survives upgrades. Secrets are written where the bundle's
containers find them, and never shown.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import Any, Dict, Iterator, Optional, Tuple

from sealift_manifests.errors import SettingsError, UsageError
from sealift_manifests.model import Manifest
from sealift_manifests.settings import (
    Secret,
)
from sealift_manifests.site_values import (
    Chosen,
)

from sealift_installer import durable
from sealift_installer.commands import Result, add_installed_name, add_set
from sealift_installer.host import Host
from sealift_installer.releases import choose
from sealift_installer.site import Site, change_file, given_pairs, site_of
from sealift_installer.site_changes import (
    ask_secret,
    ask_settings,
    new_settings,
    settle_site,
    template,
)
from sealift_installer.site_secrets import (
    MAX_SECRET,
    as_secret,
    generated,
    put_secret,
    secret_path,
)


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)
    add_set(parser)
    parser.add_argument(
        "--unset",
        action="append",
        default=[],
        metavar="NAME",
        help="take a setting out of the site file: its default counts (repeatable)",
    )
    parser.add_argument(
        "--ask", action="store_true", help="ask for each setting and missing secret"
    )
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="LABEL[=FILE]",
        help="keep a secret: what is in FILE, or on standard input (-), or typed "
        "unseen (repeatable)",
    )
    parser.add_argument(
        "--generate",
        action="append",
        default=[],
        metavar="LABEL",
        help="make a secret anew (repeatable)",
    )
    parser.add_argument(
        "--template",
        action="store_true",
        help="print a site file with all settings, and change nothing",
    )


def run(args: Namespace, host: Host) -> Result:
    """Change what was asked for, then show how the site is set."""
    manifest = choose(host.layout, args.name).manifest
    if args.template:
        text = template(host, manifest)
        return text, {"bundle": manifest.name, "template": text}
    asked = (args.set, args.unset, args.ask, args.secret, args.generate)
    if any(asked):
        with host.locked(), durable.failures_told(host.layout.config):
            _change(args, host, manifest)
    site = site_of(host.layout, manifest)
    new = {one.name for one in new_settings(host, manifest)}
    facts = _facts(host, manifest, site, new)
    text = "\n".join(_lines(manifest, site, facts))
    if any(asked):
        text += "\nwhat runs goes on as it was started; `start` applies changes"
    return text, facts


def _change(args: Namespace, host: Host, manifest: Manifest) -> None:
    pieces = [word.partition("=") for word in args.secret]
    wanted = [_secret(manifest, label) for label, _, _ in pieces]
    anew = [_secret(manifest, label) for label in args.generate]
    for secret in anew:
        if secret.generate is None:
            raise UsageError(
                f"{secret.label} is no secret that is made: a person brings it",
                hint=f"Use --secret {secret.label}=FILE.",
            )
    settle_site(host, manifest, given_pairs(args.set))
    change_file(host.layout, manifest.name, {}, args.unset)
    if args.ask:
        ask_settings(host, manifest)
    for secret, (_, equals, place) in zip(wanted, pieces):
        if equals:
            data = as_secret(_read(place), secret.label)
            put_secret(host.layout, manifest.name, secret.label, data)
        else:
            ask_secret(host, manifest, secret)
    for secret in anew:
        put_secret(host.layout, manifest.name, secret.label, generated(secret))


def _secret(manifest: Manifest, label: str) -> Secret:
    secrets = manifest.stack.secrets if manifest.stack else ()
    for secret in secrets:
        if secret.label == label:
            return secret
    known = ", ".join(secret.label for secret in secrets) or "none"
    raise SettingsError(
        f"{label!a:.80} is no secret of {manifest.name}; secrets: {known}",
        hint="Nothing was changed.",
    )


def _read(place: str) -> bytes:
    if place == "-":
        return sys.stdin.buffer.read(MAX_SECRET + 1)
    data = durable.read_file(place)
    if data is None:
        raise UsageError(f"{place} does not exist", hint="Name the secret's file.")
    return data


def _facts(host: Host, manifest: Manifest, site: Site, new: set[str]) -> Dict[str, Any]:
    missing = {secret.label for secret in site.missing}
    broken = {fault.name: fault.message for fault in site.broken}
    secrets = manifest.stack.secrets if manifest.stack else ()
    return {
        "bundle": manifest.name,
        "version": manifest.version,
        "file": site.path,
        "settings": [_setting_facts(site, one, new) for one in site.chosen],
        "unknown": [str(fault) for fault in _strangers(site)],
        "secrets": [
            {
                "label": one.label,
                "file": secret_path(host.layout, manifest.name, one.label),
                "there": one.label not in missing,
                "fault": broken.get(one.label),
                "generate": one.generate,
                "help": one.help,
            }
            for one in secrets
        ],
        "ready": not site.lines(),
    }


def _setting_facts(site: Site, one: Chosen, new: set[str]) -> Dict[str, Any]:
    setting = one.setting
    fault = next((f for f in site.faults if f.name == setting.name), None)
    return {
        **vars(setting),
        "value": one.value,
        "from": "site" if one.given else "default" if one.value is not None else None,
        "new": setting.name in new,
        "fault": fault.message if fault else None,
    }


def _strangers(site: Site) -> Iterator[Any]:
    own = {one.setting.name for one in site.chosen}
    yield from (fault for fault in site.faults if fault.name not in own)
    yield from site.idle


def _lines(manifest: Manifest, site: Site, facts: Dict[str, Any]) -> Iterator[str]:
    title = f"{manifest.name} {manifest.version}"
    if not facts["settings"] and not facts["secrets"]:
        yield f"{title} leaves nothing for this site to decide"
        return
    yield f"{title}, as set in {site.path}"
    for one, fact in zip(site.chosen, facts["settings"]):
        yield from _setting_lines(one, fact)
    for text in facts["unknown"]:
        yield f"  unknown   {text}"
    for secret in facts["secrets"]:
        yield from _secret_lines(secret)


def _setting_lines(one: Chosen, fact: Dict[str, Any]) -> Iterator[str]:
    setting = one.setting
    if fact["fault"]:
        state = f"NOT READY: {fact['fault']}"
    elif one.given:
        default = "none" if setting.default is None else setting.default
        state = f"{one.value}  (site file; default {default})"
    else:
        state = f"{one.value}  (default)"
    new = "  NEW" if fact["new"] else ""
    yield f"  {setting.name} = {state}{new}"
    yield f"      {setting.range}" + (f": {setting.help}" if setting.help else "")


def _secret_lines(secret: Dict[str, Any]) -> Iterator[str]:
    how: Optional[str] = "made at the first start" if secret["generate"] else None
    state = "is there" if secret["there"] else how or "NOT READY: not there"
    if secret["fault"]:
        state = f"NOT READY: {secret['fault']}"
    yield f"  secret {secret['label']}: {state}"
    about: Tuple[str, ...] = (os.path.dirname(secret["file"]), secret["help"])
    yield "      " + ": ".join(text for text in about if text)
