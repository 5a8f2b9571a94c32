"""`sealift installer`: write the offline installer alone, to survey a host with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import OutputError

from sealift_bundler.installer_zip import installer_bytes


def run(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write it.")
    ] = Path("sealift-installer.pyz"),
) -> None:
    """Write the installer that every bundle carries, to look at a host before there
    is a bundle for it."""
    data = installer_bytes()
    try:
        output.write_bytes(data)
    except OSError as error:
        raise OutputError(
            f"{output} cannot be written: {error.strerror}",
            hint="Name a file in a directory that you may write to: -o FILE.",
        ) from error
    typer.echo(f"{output}  {digest_of(data)}")
    typer.echo(f"On the host, as root: python3 -I -B {output.name} survey -o host.json")
