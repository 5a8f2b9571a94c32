"""`sealift repair`: make the signed patch that a host asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from sealift_manifests.errors import UsageError
from sealift_manifests.sizes import counted, human
from sealift_manifests.trust import Trust

from sealift_bundler.commands.options import (
    AllowedSigners,
    Fingerprints,
    Keys,
    MorePlaces,
    SignAgent,
    SignKeys,
    parse_part_size,
    read_trust,
)
from sealift_bundler.commands.signers import signers_of
from sealift_bundler.repair import Repair, Repaired, repair
from sealift_bundler.report import Report


def run(  # long: one parameter for each option
    bundle: Annotated[
        list[str],
        typer.Argument(
            metavar="BUNDLE... REQUEST", help="Where the good bundle lies; the request."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Where the patch is put."),
    ] = Path(),
    sign_key: SignKeys = None,
    sign_agent: SignAgent = None,
    part_size: Annotated[
        str, typer.Option(metavar="SIZE", help="The largest pack; at least 8MiB.")
    ] = "4GiB-1",
    media: MorePlaces = None,
    allowed_signers: AllowedSigners = None,
    key: Keys = None,
    fingerprint: Fingerprints = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say only the summary.")
    ] = False,
) -> None:
    """Make a signed patch of what a host's repair request asks for.

    The bundle must be signed by a key that you name, or by one that signs the patch.
    """
    places, request = [*bundle[:-1], *(media or ())], bundle[-1]
    if not places:
        raise UsageError(
            "a bundle and a request are needed",
            hint="Write: sealift repair BUNDLE request.json -o DIR --sign-key FILE.",
        )
    signers = signers_of(sign_key or [], sign_agent or [])
    trust = read_trust(allowed_signers or [], key or [], fingerprint or [])
    if trust.is_empty:
        own = (signer.public_key.fingerprint for signer in signers)
        trust = Trust.from_fingerprints(own)
    job = Repair(
        places=places,
        trust=trust,
        request_path=Path(request),
        output=output,
        signers=signers,
        now=datetime.now(UTC),
        part_size=parse_part_size(part_size),
    )
    typer.echo(_summary(repair(job, Report(quiet=quiet))))


def _summary(done: Repaired) -> str:
    listed = done.listed
    parts = []
    if listed.chunks:
        parts.append(f"{counted(len(listed.chunks), 'chunk')}, {human(done.size)}")
    parts += listed.files
    return (
        f"patch for {listed.name} {listed.version}, root {listed.root}\n"
        f"  brings     {', '.join(parts)}, read back and verified\n"
        f"  patch      {done.path}\n"
        "next: carry that directory; on the host name it beside the media:\n"
        f"  python3 -I -B sealift-installer.pyz install BUNDLE... {done.path.name}"
    )
