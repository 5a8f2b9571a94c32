"""`sealift init`: write a first spec that works as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from sealift_manifests.errors import OutputError

from sealift_bundler.init_template import (
    init_files,
    template_files,
    template_names,
)


def run(
    directory: Annotated[Path, typer.Argument(help="Where to write it.")],
    name: Annotated[
        str, typer.Option(help="The bundle's name; by default the directory's.")
    ] = "",
    template: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"A serving stack to start from: {', '.join(template_names())}.",
        ),
    ] = "",
    weights_only: Annotated[
        bool, typer.Option("--weights-only", help="Without an image and a stack.")
    ] = False,
) -> None:
    """Write a commented, working sealift.yaml and what it needs into DIRECTORY."""
    name = name or directory.absolute().name.lower()
    if template:
        files = template_files(template, name)
    else:
        files = init_files(name, with_image=False if weights_only else None)
    taken = [path for path in files if (directory / path).exists()]
    if taken:
        raise OutputError(
            f"{directory} already has {', '.join(taken)}",
            hint="Choose another directory: nothing was overwritten.",
        )
    for path, data in files.items():
        place = directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        typer.echo(f"wrote {place}")
    spec = directory / "sealift.yaml"
    typer.echo(
        f"next: sealift keygen release.key && sealift build {spec} --sign-key "
        "release.key -o bundles"
    )
