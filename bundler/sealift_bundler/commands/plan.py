"""`sealift plan`: what a build would fetch and what hosts must have, before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from sealift_manifests import records
from sealift_manifests.preflight.newest import ChosenTables
from sealift_manifests.preflight.words import acceptance_of
from sealift_manifests.sizes import counted, human

from sealift_bundler.build import plan
from sealift_bundler.build_values import BuildRequest, Planned
from sealift_bundler.commands.options import (
    Accept,
    AsJson,
    InsecureRegistries,
    MediaSizes,
    ParityRatio,
    Surveys,
    TablesFile,
    creation_time,
    default_cache,
    parse_media,
    parse_part_size,
    print_json,
)
from sealift_bundler.draft import Draft
from sealift_bundler.needs_text import needs_lines
from sealift_bundler.parity import Ratio
from sealift_bundler.report import Report
from sealift_bundler.spread import Spread
from sealift_bundler.surveys import findings_text, judged_as_json, require


def run(  # long: one parameter for each option
    spec: Annotated[Path, typer.Argument(help="The bundle spec, sealift.yaml.")],
    survey: Surveys = None,
    accept: Accept = None,
    tables: TablesFile = None,
    update: Annotated[
        bool, typer.Option("--update", help="Ask upstream again, past the lock file.")
    ] = False,
    part_size: Annotated[
        str, typer.Option(metavar="SIZE", help="The largest pack, as for build.")
    ] = "4GiB-1",
    parity: ParityRatio = None,
    media: MediaSizes = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The cache, as for build.")
    ] = None,
    insecure_registry: InsecureRegistries = None,
    as_json: AsJson = False,
) -> None:
    """Say what SPEC comes to and what hosts must have. No weights, no layers."""
    acceptance = acceptance_of(accept or ())
    media_sizes = parse_media(media) if media else ()
    request = BuildRequest(
        spec_path=spec,
        output=Path(),
        signers=(),
        cache=cache or default_cache(),
        created=creation_time(),
        survey_paths=survey or (),
        acceptance=acceptance,
        tables_path=tables,
        part_size=parse_part_size(part_size),
        parity=Ratio.parse(parity) if parity else None,
        update=update,
        insecure=frozenset(insecure_registry or ()),
    )
    planned = plan(request, Report(quiet=as_json))
    found, judged = planned.draft, planned.judged
    bound = parity_bound(request.parity, found.size, request.part_size)
    spread = Spread.of(found, request.part_size, media_sizes, request.parity)
    if as_json:
        require(judged, acceptance, found.needs.name)
        spread.require_room()
        print_json(**plan_facts(planned, spread), parity=bound)
        return
    typer.echo(describe(found, spread, planned.tables, bound))
    # Fails are told with the findings, by the error.
    require(judged, acceptance, found.needs.name)
    for line in findings_text(judged, acceptance):
        typer.echo(line)
    spread.require_room()


def parity_bound(ratio: Ratio | None, size: int | None, part_size: int) -> int | None:
    """Return the most bytes that parity takes; None if it is not asked for or known."""
    return None if ratio is None or size is None else ratio.bound(size, part_size)


def describe(
    found: Draft, spread: Spread, tables: ChosenTables, parity: int | None = None
) -> str:
    """Return the plan for people. `parity`: the most bytes that it takes."""
    lines = [f"{found.needs.name} for {found.needs.platform}"]
    for item in found.items:
        size = "size not known yet" if item.size is None else human(item.size)
        lines.append(f"  {item.kind} {item.name:<12} {size:>10}  {item.about}")
    lines.append(f"  download   {human(found.download)}, less what the cache has")
    if found.size is None:
        lines.append("  bundle     not known before images are built")
    else:
        lines.append(f"  bundle     at most {human(found.size)}, before compression")
    if parity is not None:
        lines.append(f"  parity     at most {human(parity)}")
    lines += spread.lines()
    lines.append("a host must have:")
    lines += [f"  {line}" for line in needs_lines(found.needs, tables.tables)]
    lines.append(f"  (by NVIDIA tables of {tables.label})")
    unseen = [image for image in found.needs.images if image.builds is None]
    if unseen:
        lines.append(
            f"what is inside of {counted(len(unseen), 'image')} shows when the build "
            "reads the layers"
        )
    return "\n".join(lines)


def plan_facts(planned: Planned, spread: Spread) -> dict[str, Any]:
    """Return the plan for machines."""
    found = planned.draft
    return {
        "needs": records.encode(found.needs),
        "items": [vars(item) for item in found.items],
        "download": found.download,
        "size": found.size,
        "likely": found.likely,
        **spread.facts(),
        "hosts": judged_as_json(planned.judged),
        "tables": planned.tables.facts(),
    }
