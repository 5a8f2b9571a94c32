"""`status`: what is installed, what runs and how well, when it was last audited.

Asks for nothing that takes long, and says what it knows when no engine answers.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import datetime
from typing import Any, Dict, Iterator, List, Optional, Tuple

from sealift_manifests.errors import EngineError
from sealift_manifests.names import project_name

from sealift_installer import durable
from sealift_installer.commands import Result, add_installed_name
from sealift_installer.data_volumes import data_facts, data_lines
from sealift_installer.failure import describe
from sealift_installer.host import Host
from sealift_installer.ledger import (
    first_broken_line,
    last_of_release,
    unfinished_installs,
)
from sealift_installer.measures import (
    Measured,
    gpu_facts,
    gpu_line,
    gpus_now,
    measure_project,
)
from sealift_installer.overview import running_release
from sealift_installer.releases import Release, choose, installed_bundles
from sealift_installer.site_told import site_facts, site_lines
from sealift_installer.smoke import LOGGED
from sealift_installer.standing import standing_of

_PATIENCE = 5.0
"""Seconds that an engine may take to say that it is there."""


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)


def run(args: Namespace, host: Host) -> Result:
    """Describe one bundle, or all that are installed."""
    names = [args.name] if args.name else list(installed_bundles(host.layout))
    silence = _silence(host) if names else None
    told = [_describe(host, choose(host.layout, name), silence) for name in names]
    lines = [line for _, described in told for line in described]
    gpus = gpus_now() or ()
    lines += [f"GPU {gpu_line(gpu)}" for gpu in gpus]
    begun = unfinished_installs(host.layout)
    if not told:
        lines.append(f"nothing is installed below {host.layout.state}")
    lines += [f"not finished: the install of {one}; run it again" for one in begun]
    broken = first_broken_line(durable.read_file(host.layout.ledger) or b"")
    if broken:
        lines.append(f"{host.layout.ledger} was changed: line {broken} does not follow")
    return "\n".join(lines), {
        "bundles": [facts for facts, _ in told],
        "gpus": [gpu_facts(gpu) for gpu in gpus],
        "unfinished": [vars(one) for one in begun],
        "ledger_broken_at": broken or None,
    }


def _silence(host: Host) -> Optional[str]:
    """Return why the engine does not answer, or None if it does."""
    try:
        host.engine.require_answer(_PATIENCE)
    except EngineError as error:
        return error.message
    return None


def _describe(
    host: Host, release: Release, silence: Optional[str]
) -> Tuple[Dict[str, Any], List[str]]:
    manifest, now = release.manifest, host.now()
    containers, silence = _containers(host, release, silence)
    standing = standing_of(host.layout, manifest.name)
    served = None if silence else running_release(host, standing)
    audited = last_of_release(host.layout, manifest, "audit")
    asked = last_of_release(host.layout, manifest, LOGGED)
    facts = {
        "bundle": manifest.name,
        "version": manifest.version,
        "serial": manifest.serial,
        "release": release.path,
        "installed": release.record.installed,
        "previous": standing.previous.name if standing.previous else None,
        "running": served.name if served else None,
        "last_audit": audited.get("time"),
        "last_audit_clean": audited.get("clean", True) if audited else None,
        "last_smoke": asked.get("time"),
        "last_smoke_clean": asked.get("clean"),
        "models": {m.name: host.layout.tree(m) for m in manifest.models},
        "data": data_facts(host, manifest, silent=silence is not None),
        "services": {one.state.service: str(one.state) for one in containers},
        "containers": [one.facts(now) for one in containers],
        "causes": list(_causes(host, containers, now)),
        **site_facts(host, manifest),
        "engine_error": silence,
    }
    return facts, _lines(facts, [one.line(now) for one in containers])


def _containers(
    host: Host, release: Release, silence: Optional[str]
) -> Tuple[Tuple[Measured, ...], Optional[str]]:
    """Return the stack's containers, or why the engine does not tell them."""
    if silence or release.manifest.stack is None:
        return (), silence
    try:
        return measure_project(host.engine, project_name(release.manifest.name)), None
    except EngineError as error:
        return (), error.message


def _causes(
    host: Host, containers: Tuple[Measured, ...], now: datetime
) -> Iterator[Dict[str, Any]]:
    """Yield what is wrong with each container that does not do well, and why."""
    for one in containers:
        fault = one.state.fault_at(now)
        if fault:
            causes = [each.facts() for each in describe(host.engine, one.state)[1]]
            service = one.state.service
            yield {"service": service, "fault": fault, "causes": causes}


def _lines(facts: Dict[str, Any], containers: List[str]) -> List[str]:
    silence = facts["engine_error"]
    audit = {True: "clean", False: "DRIFT FOUND", None: ""}[facts["last_audit_clean"]]
    smoke = {True: "good", False: "FAILED", None: ""}[facts["last_smoke_clean"]]
    return [
        f"{facts['bundle']} {facts['version']} (serial {facts['serial']})",
        f"  installed   {facts['installed']} at {facts['release']}",
        f"  last audit  {facts['last_audit'] or 'never'} {audit}".rstrip(),
        *([f"  last smoke  {facts['last_smoke']} {smoke}"] if smoke else []),
        *([f"  previous    {facts['previous']}"] if facts["previous"] else []),
        *([f"  runs        {facts['running']}"] if facts["running"] else []),
        *(f"  model       {name}: {path}" for name, path in facts["models"].items()),
        *data_lines(facts["data"]),
        *site_lines(facts),
        *(f"  service     {line}" for line in containers),
        *(line for each in facts["causes"] for line in _cause_lines(each)),
        *([f"  services    unknown: {silence}"] if silence else []),
    ]


def _cause_lines(fault: Dict[str, Any]) -> Iterator[str]:
    yield f"  WRONG       {fault['service']}: {fault['fault']} (`diagnose` has more)"
    for cause in fault["causes"]:
        yield f"              {cause['slug']}: {cause['what']}"
        yield f"              remedy: {cause['remedy']}"
