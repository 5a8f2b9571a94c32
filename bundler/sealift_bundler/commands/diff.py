"""`sealift diff`: what changed between two bundles, or since a host's receipt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from sealift_manifests.receipt import Receipt
from sealift_manifests.sizes import counted, human

from sealift_bundler.bases import read_receipt_or_bundle
from sealift_bundler.commands.options import AsJson, print_json
from sealift_bundler.diff import (
    Difference,
    FileChange,
    ImageChange,
    ModelChange,
    compare,
    side_of,
)


def run(
    old: Annotated[
        Path, typer.Argument(help="A bundle, with packs or without, or a receipt.")
    ],
    new: Annotated[Path, typer.Argument(help="The same: what it is compared with.")],
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which bundle of a receipt with several."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what NEW has that OLD has not, and how much of it must be carried."""
    before, after = (read_receipt_or_bundle(path) for path in (old, new))
    for found in (after, before):
        if name is None and not isinstance(found, Receipt):
            name = found.manifest.name
    difference = compare(side_of(before, name), side_of(after, name))
    if as_json:
        print_json(**_facts(difference))
    else:
        typer.echo("\n".join(describe(difference)))


def _facts(found: Difference) -> dict[str, Any]:
    """Return the difference for machines; asdict leaves named tuples as lists."""
    return {
        **asdict(found),
        "old": found.old._asdict(),
        "new_release": found.new_release._asdict(),
        "is_empty": found.is_empty,
    }


def describe(found: Difference) -> Iterator[str]:
    """Yield the difference, line by line, for people."""
    old, new = found.old, found.new_release
    yield f"{old.name} {old.version} -> {new.name} {new.version}"
    yield f"  serial     {old.serial} -> {new.serial}"
    for model in found.models:
        yield from _model(model)
    for image in found.images:
        yield from _image(image)
    for volume in found.volumes:
        yield from _model(volume, "volume")
    for file in found.stack:
        yield f"  stack      {file.kind} {file.path}"
    yield from (f"  no need    {line}" for line in found.needs_removed)
    yield from (f"  needs      {line}" for line in found.needs_added)
    if found.is_empty:
        yield "  nothing changed"
    else:
        yield (
            f"  to carry   {human(found.new)} of {human(found.size)}, "
            "before compression"
        )


def _model(model: ModelChange, what: str = "model") -> Iterator[str]:
    yield (
        f"  {what:<10} {model.name} {model.kind}: {counted(model.kept, 'file')} as "
        f"before, {human(model.new)} new of {human(model.size)}"
    )
    yield from (f"    {_file(file)}" for file in model.files)


def _file(file: FileChange) -> str:
    text = f"{file.kind:<8} {file.path}"
    if file.kind == "removed":
        return f"{text} ({human(file.size)})"
    return f"{text}: {human(file.new)} new of {human(file.size)}"


def _image(image: ImageChange) -> Iterator[str]:
    yield (
        f"  image      {image.name} {image.kind}: {counted(image.kept, 'layer')} as "
        f"before, {human(image.new)} new of {human(image.size)}"
    )
    for layer in image.layers:
        yield f"    {layer.kind:<8} layer {layer.diff_id.short} ({human(layer.size)})"
