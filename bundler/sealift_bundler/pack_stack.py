"""Bring the Compose stack into the packs, rendered for the offline host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sealift_manifests.model_entries import FileEntry, ModelEntry
from sealift_manifests.names import volume_name
from sealift_manifests.preflight.notes import SERVICES_NOTE, service_needs_facts
from sealift_manifests.readiness import NOTE, ready_facts
from sealift_manifests.smoke import SmokeTest
from sealift_manifests.stack_entries import StackEntry

from sealift_bundler.compose import Stack, parse_stack, render_stack
from sealift_bundler.compose_check import COMPOSE_FILE
from sealift_bundler.leaks.check import check_stack
from sealift_bundler.pack import Packer
from sealift_bundler.pack_images import PackedImages
from sealift_bundler.serving.ready import endpoints
from sealift_bundler.serving.services import services_needs
from sealift_bundler.spec import Spec


def load_stack(spec: Spec) -> Stack | None:
    """Read and check the spec's Compose file, before anything is fetched."""
    if spec.stack is None:
        return None
    stack = parse_stack(spec.stack, spec.references(), spec.models)
    sources = {stack.where: spec.stack, **stack.files}
    files = {path: source.read_bytes() for path, source in sources.items()}
    sent = (text for test in spec.smoke for text in _sent(test.test()))
    files["the smoke tests of the spec"] = "\n".join(sent).encode("utf-8")
    check_stack(files)
    return stack


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
        {
            model.name: volume_name(spec.name, model.name, model.tree)
            for model in models
        },
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
    facts = {SERVICES_NOTE: service_needs_facts(needs)}
    if ready := ready_facts(endpoints(stack, images.configs)):
        facts[NOTE] = ready
    smoke = tuple(test.test() for test in spec.smoke)
    return StackEntry(COMPOSE_FILE, files, rendered.services, facts, smoke)
