"""Compose files as people write them, and what Sealift makes of each.

A case is a directory of `compose_corpus`: a spec, its Compose files, `expected.json`
with what is collected, refused and advised, and `expected.yaml`, which travels.
`python tests/corpus.py` writes what is expected anew; read the difference.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealift_bundler.compose import RenderedStack, Stack, render_stack
from sealift_bundler.hygiene.services import services_advice
from sealift_bundler.hygiene.stack import stack_advice
from sealift_bundler.insides.needs import ImageConfig
from sealift_bundler.pack_stack import load_stack
from sealift_bundler.spec import Spec
from sealift_bundler.spec_load import load_spec
from sealift_manifests.digests import Digest
from sealift_manifests.errors import SealiftError
from sealift_manifests.names import volume_name
from sealift_manifests.references import unique_reference

CORPUS = Path(__file__).with_name("compose_corpus")
CASES = sorted(path.name for path in CORPUS.iterdir())
DIGEST = Digest("sha256:" + "ab" * 32)
_ENTRYPOINTS = {
    "vllm/vllm-openai": ("vllm", "serve"),
    "ollama/ollama": ("/bin/ollama", "serve"),
    "huggingface/text-generation-inference": ("text-generation-launcher",),
    "ggml-org/llama.cpp": ("/app/llama-server",),
}
"""What the images of these repositories start; others start something of their own."""


@dataclass(frozen=True)
class Taken:
    """A case that Sealift takes."""

    spec: Spec
    stack: Stack
    rendered: RenderedStack

    def written(self, folder: Path) -> Path:
        """Write the stack as a host has it, and return its directory."""
        folder.mkdir(parents=True)
        (folder / "compose.yaml").write_bytes(self.rendered.compose)
        for name, source in self.rendered.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
        return folder


def take(case: str) -> Taken:
    """Read and render a case; raise SealiftError where it is refused."""
    spec = load_spec(CORPUS / case / "sealift.yaml")
    stack = load_stack(spec)
    assert stack is not None
    spec = spec.without_images(stack.idle)
    loaded = {k: unique_reference(r, DIGEST) for k, r in spec.references().items()}
    volumes = {model: volume_name(spec.name, model, DIGEST) for model in spec.models}
    title = f"{spec.name} {spec.version}"
    return Taken(spec, stack, render_stack(stack, title, loaded, volumes))


def outcome(case: str) -> tuple[dict[str, Any], bytes]:
    """Return what comes of a case: the facts, and the file that travels."""
    try:
        taken = take(case)
    except SealiftError as error:
        lines = error.message.replace(f"{CORPUS / case}/", "").splitlines()
        return {"refused": error.slug, "faults": [line.strip() for line in lines]}, b""
    services = {
        service.name: {"image": service.image, "models": list(service.models)}
        for service in taken.rendered.services
    }
    configs = {key: _config(ref) for key, ref in taken.spec.references().items()}
    found = [*services_advice(taken.stack, configs), *stack_advice(taken.stack)]
    facts = {
        "carried": sorted(taken.spec.images),
        "files": sorted(taken.rendered.files),
        "services": services,
        "findings": sorted(
            f"{each.slug}: {each.about}: {each.measured}" for each in found
        ),
    }
    return facts, taken.rendered.compose


def _config(reference: str) -> ImageConfig:
    """Return the config of an image that is as it should be."""
    starts = [words for name, words in _ENTRYPOINTS.items() if name in reference]
    entrypoint = starts[0] if starts else ()
    return ImageConfig({}, entrypoint, user="1000", has_healthcheck=True)


def main() -> None:
    """Write what is expected of every case."""
    for case in CASES:
        facts, compose = outcome(case)
        folder = CORPUS / case
        (folder / "expected.json").write_text(json.dumps(facts, indent=1) + "\n")
        (folder / "expected.yaml").unlink(missing_ok=True)
        if compose:
            (folder / "expected.yaml").write_bytes(compose)


if __name__ == "__main__":
    main()
