"""`gpu-check`: ask CUDA, from inside the images of an installed bundle, which GPUs it
sees. Takes no GPU memory and starts no service."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from sealift_manifests.errors import PreflightError

from sealift_installer.commands import Result, add_installed_name
from sealift_installer.gpu_check import check_gpus
from sealift_installer.host import Host
from sealift_installer.releases import choose
from sealift_installer.site import site_needs


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)


def run(args: Namespace, host: Host) -> Result:
    """Ask in the image of each service that wants GPUs."""
    manifest = choose(host.layout, args.name).manifest
    needs = site_needs(host.layout, manifest)
    answers = tuple(check_gpus(host.engine, manifest, needs))
    lines = [str(answer) for answer in answers]
    if any(answer.error for answer in answers):
        raise PreflightError(
            "\n".join(lines),
            hint="Mend this, then run `gpu-check` again: nothing would be served.",
        )
    none = f"no service of {manifest.name} is known to ask for GPUs"
    return "\n".join(lines) or none, {
        "bundle": manifest.name,
        "gpu_check": [dict(vars(answer)) for answer in answers],
    }
