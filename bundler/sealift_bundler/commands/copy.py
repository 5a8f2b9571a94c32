"""`sealift copy`: write a bundle to media, read it back, and label the media."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from sealift_manifests.bundle import open_bundle
from sealift_manifests.errors import OutputError, UsageError
from sealift_manifests.media import Media
from sealift_manifests.sizes import counted, human
from sealift_manifests.verify import verify_outline

from sealift_bundler.commands.options import (
    AllowedSigners,
    AsJson,
    Fingerprints,
    Keys,
    MediaSizes,
    Places,
    ProgressStyle,
    parse_media,
    places_of,
    print_json,
    read_trust,
)
from sealift_bundler.copy_labels import labels
from sealift_bundler.copy_source import CopySource
from sealift_bundler.copy_turns import check_places, copy_all
from sealift_bundler.copying import Copying
from sealift_bundler.media_plan import counts, lay_out
from sealift_bundler.media_sizes import stick
from sealift_bundler.media_text import (
    layout_facts,
    layout_lines,
    require_room,
    usual_facts,
    usual_lines,
)
from sealift_bundler.report import Report, Style


def run(  # long: one parameter for each option
    bundle: Places,
    to: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Where a medium is mounted; repeat it for several. When they are "
            "full, the next ones are asked for.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go where; copy nothing.")
    ] = False,
    media: MediaSizes = None,
    label_file: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="Write the labels there, too."),
    ] = None,
    from_start: Annotated[
        bool,
        typer.Option(
            "--from-start",
            help="Forget which media an unfinished copy has filled. What is on the "
            "media given now is still not copied again.",
        ),
    ] = False,
    allowed_signers: AllowedSigners = None,
    key: Keys = None,
    fingerprint: Fingerprints = None,
    progress: ProgressStyle = Style.AUTO,
    as_json: AsJson = False,
) -> None:
    """Copy a bundle to one medium or several, and read back what was written."""
    _check_usage(to or [], media, dry_run=dry_run)
    sizes = parse_media(media) if media else ()
    trust = read_trust(allowed_signers or [], key or [], fingerprint or [])
    report = Report(quiet=as_json, style=progress)
    with Media(places_of(bundle, None)) as found:
        opened = open_bundle(found, trust, datetime.now(UTC))
        verify_outline(opened, opened.index.contents)
        source = CopySource(opened)
        source.require_parity()
        copying = Copying.begin(source, report, datetime.now(UTC))
        if from_start:
            copying.from_start()
        if dry_run:
            _tell_plan(copying, to or [], sizes, as_json=as_json)
            return
        if from_start:
            copying.file.forget()
        is_for_people = not as_json and progress is not Style.JSON
        copy_all(copying, to or [], _ask if is_for_people else _nobody)
    text = labels(copying.source, copying.record.sticks)
    if label_file:
        _write_labels(label_file, text)
    copying.file.forget()
    if as_json:
        print_json(**_facts(copying))
    else:
        typer.echo(_summary(copying) + "\n\n" + text.rstrip("\n"))


def _check_usage(places: list[Path], media: str | None, *, dry_run: bool) -> None:
    if media and (places or not dry_run):
        raise UsageError(
            "--media asks about media that are not here",
            hint="Give it with --dry-run and without --to.",
        )
    if not places and not dry_run:
        raise UsageError(
            "nothing says where to copy to",
            hint="Give --to FOLDER for each medium that is mounted.",
        )


def _tell_plan(
    copying: Copying, places: list[Path], sizes: tuple[int, ...], *, as_json: bool
) -> None:
    """Say what would go where; raise MediaShortError if it does not fit."""
    source = copying.source
    files = tuple(source.large.values())
    if places:
        check_places(places)
        layout = copying.plan([copying.look(p, only_sizes=True) for p in places])
    else:
        layout = lay_out(files, [stick(size, source.small_size) for size in sizes])
    has_media = bool(places or sizes)
    if as_json:
        if has_media:
            require_room(layout)
        facts = {"media": layout_facts(layout)} if has_media else {}
        print_json(**usual_facts(files, source.small_size), **facts)
        return
    size = sum(file.size for file in files)
    lines = [f"{source.name}: {human(size)} in {counts(files)}"]
    lines += usual_lines(files, source.small_size)
    typer.echo("\n".join([*lines, *(layout_lines(layout) if has_media else [])]))
    if has_media:
        require_room(layout)


def _nobody(_text: str) -> None:
    """Answer nothing: a program is on the other end."""


def _ask(text: str) -> str | None:
    if not sys.stdin.isatty():
        return None
    typer.echo(text, nl=False, err=True)
    return sys.stdin.readline() or None


def _summary(copying: Copying) -> str:
    manifest, sticks = copying.source.bundle.manifest, copying.record.sticks
    read_now = len(copying.finished)
    lines = [
        f"copied: {manifest.name} {manifest.version}, "
        f"{counts([*copying.source.large.values()])} on "
        f"{counted(len(sticks), 'stick')}, read back and verified"
    ]
    if read_now < len(sticks):
        lines.append(
            f"{len(sticks) - read_now} of them by an earlier run, not this one"
        )
    if copying.from_memory:
        places = ", ".join(copying.from_memory)
        lines.append(f"but {places} maybe from memory: see above")
    lines += [f"warning: bad in the source: {bad}" for bad in copying.source.spoiled]
    return "\n".join(lines)


def _facts(copying: Copying) -> dict[str, Any]:
    bundle, large = copying.source.bundle, copying.source.large
    return {
        "bundle": bundle.manifest.name,
        "version": bundle.manifest.version,
        "root": bundle.root,
        "signed_by": [one.key.fingerprint for one in bundle.accepted],
        "spoiled": list(copying.source.spoiled),
        "sticks": [
            {
                "number": number + 1,
                "packs": [n for n in each.files if not large[n].is_parity],
                "parity": [n for n in each.files if large[n].is_parity],
                "place": each.place,
                "written": each.written,
                "read_back": number in copying.finished,
                "maybe_from_memory": copying.from_memory.get(each.place),
            }
            for number, each in enumerate(copying.record.sticks)
        ],
    }


def _write_labels(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}",
            hint="The copy is finished and good. Name another file for --labels and "
            "run the command again: nothing is copied twice.",
        ) from error
