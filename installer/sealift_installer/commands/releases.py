"""`releases`: list what is installed of each bundle, and what each release holds."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any, Dict, Iterator, List

from sealift_manifests.errors import NotInstalledError
from sealift_manifests.sizes import human

from sealift_installer.commands import Result, add_installed_name
from sealift_installer.data_volumes import bundle_data, data_lines
from sealift_installer.host import Host
from sealift_installer.overview import Overview, overviews
from sealift_installer.releases import bundles_with_releases
from sealift_installer.standing import standing_of


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)


def run(args: Namespace, host: Host) -> Result:
    """Describe the releases of one bundle, or of all."""
    names = bundles_with_releases(host.layout)
    if args.name and args.name not in names:
        raise NotInstalledError(
            f"{args.name} is not installed ({', '.join(names) or 'nothing'} is)",
            hint="Give the name of an installed bundle, or the --state-dir it was "
            "installed with.",
        )
    lines: List[str] = []
    found = []
    for name in [args.name] if args.name else names:
        standing = standing_of(host.layout, name)
        each = overviews(host, standing)
        lines += [f"{name}", *(line for one in each for line in _lines(one))]
        lines += [f"  {n}: cannot be read: {why}" for n, why in standing.unreadable]
        data = bundle_data(host, standing)
        lines += data_lines(data)
        found.append(
            {
                "bundle": name,
                "data": data,
                "releases": [_facts(one) for one in each],
                "unreadable": dict(standing.unreadable),
            }
        )
    nothing = f"nothing is installed below {host.layout.state}"
    return "\n".join(lines) or nothing, {"bundles": found}


def _lines(one: Overview) -> Iterator[str]:
    release, record = one.release, one.release.record
    marks = [
        *(["in use"] if one.is_current else []),
        *(["in use before"] if one.is_previous else []),
        *(["runs"] if one.is_running else []),
    ]
    part = f"  [{', '.join(marks)}]" if marks else ""
    yield f"  {release.manifest.version}  root {record.root.short}{part}"
    yield f"    serial {record.serial}, installed {record.installed}"
    yield (
        f"    holds alone {human(one.weight_bytes)} of weights, "
        f"{human(one.image_bytes)} of images"
    )


def _facts(one: Overview) -> Dict[str, Any]:
    record = one.release.record
    return {
        "version": one.release.manifest.version,
        "serial": record.serial,
        "root": record.root,
        "release": one.release.path,
        "installed": record.installed,
        "current": one.is_current,
        "previous": one.is_previous,
        "last_started": one.is_started,
        "running": one.is_running,
        "weight_bytes": one.weight_bytes,
        "image_bytes": one.image_bytes,
    }
