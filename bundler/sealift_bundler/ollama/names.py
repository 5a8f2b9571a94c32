"""Names of Ollama models, read the way Ollama reads them. Text to value and back."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sealift_manifests.references import ImageReference

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, order=True)
class OllamaName(ImageReference):
    """A model: the registry's host, `namespace/model`, and a tag.

    Other than in names of images, letters may be large: `hf.co/Org/Repo-GGUF:Q4_K_M`.
    """

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.registry):
            raise ValueError(f"{self.registry!r} is not a registry host")
        parts = [*self.repository.split("/"), self.tag or ""]
        for part in parts:
            if not _PART.fullmatch(part):
                raise ValueError(f"{part!r} cannot be part of a model's name")

    @property
    def familiar(self) -> str:
        """The name as people write it: without what Ollama would put back."""
        name = f"{self.repository}:{self.tag}"
        if self.registry != DEFAULT_HOST:
            return f"{self.registry}/{name}"
        return name.removeprefix(f"{DEFAULT_NAMESPACE}/")

    @property
    def manifest_path(self) -> str:
        """Where a store keeps the model's manifest, below its root."""
        return f"manifests/{self.registry}/{self.repository}/{self.tag}"


def read_name(text: str) -> OllamaName:
    """Read `[[HOST/]NAMESPACE/]MODEL:TAG`; ValueError says what is wrong."""
    named, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        named, tag = text, ""
    if tag in ("", "latest"):
        raise ValueError(
            f"{text} can mean another model tomorrow; name a tag that says its size "
            "and quantisation, such as llama3.2:1b-instruct-q4_K_M"
        )
    parts = named.split("/")
    if len(parts) > 3:
        raise ValueError(f"{text} has more parts than HOST/NAMESPACE/MODEL:TAG")
    missing = (DEFAULT_HOST, DEFAULT_NAMESPACE)[: 3 - len(parts)]
    host, namespace, model = (*missing, *parts)
    return OllamaName(host, f"{namespace}/{model}", tag)
