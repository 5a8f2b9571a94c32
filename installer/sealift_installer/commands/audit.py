"""`audit`: re-measure what is installed; exit code 50 when anything drifted."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any, Dict

from sealift_manifests.sizes import counted, human

from sealift_installer.audit import AuditResult, audit
from sealift_installer.commands import (
    Result,
    add_installed_name,
    add_trust_options,
    named_keys,
)
from sealift_installer.host import Host
from sealift_installer.host_trust import trust_to_verify
from sealift_installer.releases import choose


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)
    add_trust_options(parser)
    parser.add_argument(
        "--no-layers",
        action="store_true",
        help="check the images' identity only, without reading their layers back",
    )


def run(args: Namespace, host: Host) -> Result:
    """Audit the release in use, log the verdict, and raise when it drifted."""
    release = choose(host.layout, args.name)
    trust = trust_to_verify(host.layout, named_keys(args))
    result = audit(host, release, trust, deep=not args.no_layers)
    host.log_if_possible("audit", result.manifest, clean=not result.drift)
    result.require_clean()
    return summary(result), facts(result)


def summary(result: AuditResult) -> str:
    """Return the verdict of a clean audit for people."""
    text = (
        f"clean: {result.manifest.name} {result.manifest.version}, {result.files} "
        f"weight files ({human(result.size)}) hashed from disk"
    )
    if result.images:
        how = "layers read back and hashed" if result.deep else "identity checked"
        text += f", {result.images} images ({how})"
    data = len(result.manifest.volumes)
    if data:
        text += f", {counted(data, 'volume')} of data there (the site's: not compared)"
    return text


def facts(result: AuditResult) -> Dict[str, Any]:
    """Return what was measured, for --json."""
    return {
        "bundle": result.manifest.name,
        "version": result.manifest.version,
        "files": result.files,
        "size": result.size,
        "images": result.images,
        "layers_hashed": result.deep,
        "data_volumes": len(result.manifest.volumes),
    }
