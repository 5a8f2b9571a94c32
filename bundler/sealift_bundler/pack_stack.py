"""Bring the Compose stack into the packs, rendered for the offline host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sealift_manifests.model_entries import FileEntry, ModelEntry
from sealift_manifests.names import data_volume_name, volume_name
from sealift_manifests.preflight.notes import SERVICES_NOTE, service_needs_facts
from sealift_manifests.readiness import NOTE, ready_facts
from sealift_manifests.serving.written import WRITTEN_NOTE
from sealift_manifests.smoke import SmokeTest
from sealift_manifests.stack_entries import StackEntry

from sealift_bundler.compose import Stack, parse_stack, render_stack
from sealift_bundler.compose_check import COMPOSE_FILE
from sealift_bundler.composing.required import require_values
from sealift_bundler.leaks.check import check_stack
from sealift_bundler.pack import Packer
from sealift_bundler.pack_images import PackedImages
from sealift_bundler.serving.ready import endpoints
from sealift_bundler.serving.services import services_needs, services_written
from sealift_bundler.spec import Spec


def load_stack(spec: Spec) -> Stack | None:
    """Read and check the spec's Compose file, before anything is fetched."""
    if not spec.stack:
        return None
    stack = parse_stack(
        spec.stack,
        spec.references(),
        spec.models,
        spec.open_to_sites(),
        profiles=spec.profiles,
        data=spec.volumes,
    )
    left_open = [setting.name for setting in stack.site.settings]
    require_values(stack.where, stack.value, left_open)
    files = {path: source.read_bytes() for path, source in stack.files.items()}
    check_stack({**stack.texts, **files, **_other_texts(spec, stack)})
    return stack


def _other_texts(spec: Spec, stack: Stack) -> dict[str, bytes]:
    """Return what of the spec, which does not travel, stands in the bundle."""
    texts = {f"settings.{s.name}": s.default or "" for s in stack.site.settings}
    sent = (text for test in spec.smoke for text in _sent(test.test()))
    texts["the smoke tests of the spec"] = "\n".join(sent)
    return {name: text.encode() for name, text in texts.items()}


def _sent(test: SmokeTest) -> Iterator[str]:
    yield from (f"{header.name}: {header.value}" for header in test.headers)
    yield test.body


def pack_stack(
    packer: Packer,
    stack: Stack,
    spec: Spec,
    images: PackedImages,
    models: Sequence[ModelEntry],
) -> StackEntry:
    """Render the stack with the names of what was packed, and pack its files."""
    rendered = render_stack(
        stack,
        f"{spec.name} {spec.version}",
        {image.name: image.reference for image in images.entries},
        {model.name: volume_name(spec.name, model.name, model.tree) for model in models}
        | {name: data_volume_name(spec.name, name) for name in spec.volumes},
    )
    contents = {path: source.read_bytes() for path, source in rendered.files.items()}
    contents[COMPOSE_FILE] = rendered.compose
    packed = {
        path: packer.add_bytes(data, f"stack: {path}")
        for path, data in sorted(contents.items())
    }
    packer.drain()
    files = tuple(
        FileEntry(path, taken.size, taken.digest) for path, taken in packed.items()
    )
    needs = services_needs(stack, images.configs)
    facts: dict[str, Any] = {SERVICES_NOTE: service_needs_facts(needs)}
    if notes := services_written(stack, images.configs):
        facts[WRITTEN_NOTE] = notes
    if ready := ready_facts(endpoints(stack, images.configs)):
        facts[NOTE] = ready
    return StackEntry(
        COMPOSE_FILE,
        files,
        rendered.services,
        facts,
        settings=stack.site.settings,
        secrets=stack.site.secrets,
        smoke=tuple(test.test() for test in spec.smoke),
    )
