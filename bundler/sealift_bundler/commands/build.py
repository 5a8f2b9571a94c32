"""`sealift build`: make a signed bundle from a spec."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from sealift_manifests.errors import UsageError
from sealift_manifests.preflight.words import acceptance_of, count, describe
from sealift_manifests.sizes import counted, human
from sealift_manifests.sshsig import PublicKey

from sealift_bundler.build import build
from sealift_bundler.build_values import BuildRequest, Built
from sealift_bundler.commands.options import (
    Accept,
    Given,
    InsecureRegistries,
    ParityRatio,
    ProgressStyle,
    SignAgent,
    SignKeys,
    Strict,
    Surveys,
    TablesFile,
    Wait,
    Watch,
    creation_time,
    default_cache,
    parse_part_size,
)
from sealift_bundler.commands.signers import signers_of
from sealift_bundler.parity import Ratio
from sealift_bundler.parity_text import parity_lines
from sealift_bundler.rehearsal.values import RehearsalOptions
from sealift_bundler.report import Report, Style
from sealift_bundler.surveys import NONE_ACCEPTED


def run(  # long: one parameter for each option
    spec: Annotated[Path, typer.Argument(help="The bundle spec, sealift.yaml.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Where the bundle is put."),
    ] = Path(),
    sign_key: SignKeys = None,
    sign_agent: SignAgent = None,
    tar: Annotated[bool, typer.Option("--tar", help="Write one .tar instead.")] = False,
    part_size: Annotated[
        str,
        typer.Option(
            metavar="SIZE", help="The largest pack, such as 700MB; at least 8MiB."
        ),
    ] = "4GiB-1",
    parity: ParityRatio = None,
    locked: Annotated[
        bool, typer.Option("--locked", help="Refuse what differs from the lock file.")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Ask upstream again; renew the lock file.")
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where downloads are kept between builds; ~/.cache/sealift by "
            "default.",
        ),
    ] = None,
    insecure_registry: InsecureRegistries = None,
    survey: Surveys = None,
    base: Annotated[
        list[Path] | None,
        typer.Option(
            "--base",
            metavar="RECEIPT|BUNDLE",
            help="Leave out what hosts have: what `receipt` wrote on one, or a bundle "
            "that all have (its packs may be missing). May be repeated.",
        ),
    ] = None,
    accept: Accept = None,
    tables: TablesFile = None,
    rehearse: Annotated[
        bool,
        typer.Option(
            "--rehearse",
            help="Before signing, install and start it with no way out, as `sealift "
            "rehearse` does; what that shows is signed with it.",
        ),
    ] = False,
    strict: Strict = False,
    watch: Watch = RehearsalOptions.watch,
    wait: Wait = RehearsalOptions.wait,
    given: Given = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Begin anew where a build was left unfinished."),
    ] = False,
    progress: ProgressStyle = Style.AUTO,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say only the summary.")
    ] = False,
) -> None:
    """Build, sign and read back the bundle that SPEC asks for."""
    if locked and update:
        raise UsageError(
            "--locked keeps the lock file as it is, and --update renews it",
            hint="Give one of them.",
        )
    _check_rehearsal(rehearse=rehearse, strict=strict, is_delta=bool(base))
    request = BuildRequest(
        spec_path=spec,
        output=output,
        signers=signers_of(sign_key or [], sign_agent or []),
        cache=cache or default_cache(),
        created=creation_time(),
        survey_paths=survey or (),
        base_paths=base or (),
        acceptance=acceptance_of(accept or ()),
        tables_path=tables,
        tar=tar,
        part_size=parse_part_size(part_size),
        parity=Ratio.parse(parity) if parity else None,
        locked=locked,
        update=update,
        fresh=fresh,
        insecure=frozenset(insecure_registry or ()),
        rehearsal=(
            RehearsalOptions(
                watch, wait, tuple(accept or ()), strict, tuple(given or ())
            )
            if rehearse
            else None
        ),
    )
    built = build(request, Report(quiet=quiet, style=progress))
    typer.echo(summary(built, [signer.public_key for signer in request.signers]))


def _check_rehearsal(*, rehearse: bool, strict: bool, is_delta: bool) -> None:
    """Raise UsageError for options that do not go together."""
    if strict and not rehearse:
        raise UsageError(
            "--strict says how a rehearsal is judged, and there is none",
            hint="Give --rehearse too.",
        )
    if rehearse and is_delta:
        raise UsageError(
            "a delta cannot be rehearsed while it is built: what it leaves out is on "
            "its host",
            hint="Rehearse a full build of the same spec, then build with --base.",
        )


def summary(built: Built, keys: Sequence[PublicKey]) -> str:
    """Return what the user wants to know at the end, and the next command."""
    manifest = built.manifest
    ratio = built.stored_size / built.plain_size if built.plain_size else 1.0
    times = ", ".join(f"{name} {secs:.1f} s" for name, secs in built.seconds.items())
    packs = counted(len(built.index.packs), "pack")
    contents = [
        f"  model {m.name:<12} {counted(len(m.files), 'file'):>11}  {human(m.size):>10}"
        for m in manifest.models
    ]
    contents += [
        f"  image {i.name:<12} {counted(len(i.layers), 'layer'):>12} "
        f"{human(i.size):>10}  {i.reference}"
        for i in manifest.images
    ]
    return "\n".join(
        [
            f"{manifest.name} {manifest.version}, serial {manifest.serial}",
            *contents,
            f"  stored     {human(built.stored_size)} of {human(built.plain_size)} "
            f"({ratio:.3f}) in {packs}, read back and verified",
            *parity_lines(built.index),
            *_delta_lines(built),
            f"  times      {times}",
            f"  tables     NVIDIA's as of {built.tables.label}",
            *(
                f"  will run   on {each.survey.label}: {count(each.findings)}"
                for each in built.judged
            ),
            *(f"  signed by  {key.fingerprint} {key.comment}".rstrip() for key in keys),
            *([f"  rehearsed  {built.evidence}"] if built.evidence else []),
            f"  root       {built.root}",
            f"  bundle     {built.path}",
            *advice_lines(built),
            "next: carry it, and send the key's .pub file or fingerprint by another "
            "way; then on the host:",
            "  python3 -I -B sealift-installer.pyz install BUNDLE --key FILE.pub",
        ]
    )


def advice_lines(built: Built) -> list[str]:
    """Return what could be better about images and stack, as lines."""
    if not built.advice:
        return []
    found = describe(built.advice, NONE_ACCEPTED)
    return [f"  could be better: {count(built.advice)}", *found, ""]


def _delta_lines(built: Built) -> list[str]:
    """Return what was left out, and what a host must have for it."""
    left = [chunk.size for chunk in built.index.chunks if chunk.is_base]
    if not left:
        return []
    return [
        f"  left out   {human(sum(left))}, which a host must have:",
        *(f"  builds on  {base}" for base in built.index.bases),
    ]
