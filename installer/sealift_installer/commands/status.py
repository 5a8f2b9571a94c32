"""`status`: what is installed, what runs, when it was last audited."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any, Dict, List, Optional, Tuple

from sealift_manifests.errors import EngineError

from sealift_installer import durable
from sealift_installer.commands import Result, add_installed_name
from sealift_installer.data_volumes import data_facts, data_lines
from sealift_installer.host import Host
from sealift_installer.ledger import first_broken_line, unfinished_installs
from sealift_installer.overview import running_release
from sealift_installer.releases import Release, choose, installed_bundles
from sealift_installer.running import last_audit, states_of
from sealift_installer.site_told import site_facts, site_lines
from sealift_installer.standing import standing_of

HELP = "show what is installed and what runs"


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)


def run(args: Namespace, host: Host) -> Result:
    """Describe one bundle, or all that are installed."""
    names = [args.name] if args.name else list(installed_bundles(host.layout))
    found = [_describe(host, choose(host.layout, name)) for name in names]
    lines = [line for facts in found for line in _lines(facts)]
    begun = unfinished_installs(host.layout)
    if not lines:
        lines.append(f"nothing is installed below {host.layout.state}")
    lines += [f"not finished: the install of {one}; run it again" for one in begun]
    broken = first_broken_line(durable.read_file(host.layout.ledger) or b"")
    if broken:
        lines.append(f"{host.layout.ledger} was changed: line {broken} does not follow")
    return "\n".join(lines), {
        "bundles": found,
        "unfinished": [vars(one) for one in begun],
        "ledger_broken_at": broken or None,
    }


def _describe(host: Host, release: Release) -> Dict[str, Any]:
    manifest = release.manifest
    audited = last_audit(host.layout, manifest)
    services, silence = _services(host, release)
    previous, served = _others(host, release)
    return {
        "bundle": manifest.name,
        "version": manifest.version,
        "serial": manifest.serial,
        "release": release.path,
        "installed": release.record.installed,
        "previous": previous,
        "running": served,
        "last_audit": audited.get("time") if audited else None,
        "last_audit_clean": audited.get("clean", True) if audited else None,
        "models": {m.name: host.layout.tree(m) for m in manifest.models},
        "data": data_facts(host, manifest),
        "services": services,
        **site_facts(host, manifest),
        "engine_error": silence,
    }


def _others(host: Host, release: Release) -> Tuple[Optional[str], Optional[str]]:
    """Return which release was in use before, and which one's containers run."""
    standing = standing_of(host.layout, release.manifest.name)
    previous, running = standing.previous, running_release(host, standing)
    return previous.name if previous else None, running.name if running else None


def _services(host: Host, release: Release) -> Tuple[Dict[str, str], Optional[str]]:
    """Return the services' states, or why the engine does not tell them."""
    try:
        states = states_of(host, release)
    except EngineError as error:
        return {}, error.message
    return {state.service: str(state) for state in states}, None


def _lines(facts: Dict[str, Any]) -> List[str]:
    silence = facts["engine_error"]
    verdict = {True: "clean", False: "DRIFT FOUND", None: ""}[facts["last_audit_clean"]]
    return [
        f"{facts['bundle']} {facts['version']} (serial {facts['serial']})",
        f"  installed   {facts['installed']} at {facts['release']}",
        f"  last audit  {facts['last_audit'] or 'never'} {verdict}".rstrip(),
        *([f"  previous    {facts['previous']}"] if facts["previous"] else []),
        *([f"  runs        {facts['running']}"] if facts["running"] else []),
        *(f"  model       {name}: {path}" for name, path in facts["models"].items()),
        *data_lines(facts["data"]),
        *site_lines(facts),
        *(f"  service     {name}: {is_}" for name, is_ in facts["services"].items()),
        *([f"  services    unknown: {silence}"] if silence else []),
    ]
