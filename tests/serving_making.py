"""Stacks that speak HTTP like the servers people run, in small images, for tests.

One image is named qdrant, and so taken for a Qdrant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hosts
import making
from engines import SHELL, a_layer, unique
from making import Host, Key
from speaking import SCRIPT, script, speaks

LLM = f"echo the model is loaded; exec {speaks('8000')}"
LOAD = f"{SHELL} sleep 5; {SHELL} mkdir /www; echo ok >/www/readyz"
QDRANT = f"echo loading; ({LOAD}) & exec {speaks('6333')}"
DIES = (
    "echo loading; echo 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate "
    "22.00 MiB. GPU 0 has a total capacity of 23.65 GiB of which 11.06 MiB is free.'; "
    "exit 1"
)

QUESTION = {"role": "user", "content": "What is the capital of France?"}
SMOKE = [
    {
        "name": "capital",
        "service": "llm",
        "port": 8000,
        "path": "/v1/chat/completions",
        "json": {"model": "chat", "temperature": 0, "messages": [QUESTION]},
        "expect": {
            "contains": "paris",
            "ignore_case": True,
            "json": {"choices.0.message.content": {"matches": r"^It is \w+\.$"}},
        },
    },
    {
        "name": "streamed",
        "service": "llm",
        "port": 8000,
        "path": "/v1/chat/completions",
        "json": {"model": "chat", "stream": True, "messages": [QUESTION]},
        "expect": {"contains": ["Paris"], "stream": True},
    },
    {
        "name": "vectors",
        "service": "vectors",
        "port": 6333,
        "path": "/readyz",
        "within": 2,
    },
]
"""What a stack with an LLM and a Qdrant is asked. Qdrant says 503 until it is ready."""


@dataclass(frozen=True)
class Serving:
    """Bundles of one name by version; in `wrong` the answer is that Rome is it."""

    name: str
    port: int
    good: Path
    wrong: Path
    key: Key

    def install(self, host: Host, bundle: Path) -> None:
        """Install one of the bundles."""
        host.run("install", bundle, "--key", self.key.public).expect(0)


@contextmanager
def serving(folder: Path, engine: hosts.Engine) -> Iterator[Serving]:
    """Build both bundles; all of their name is gone from the engine at the end."""
    name, port = unique("serving"), hosts.free_port()
    key = making.a_key(folder / "release")
    try:
        good = a_bundle(folder / "1", engine, key, name, port=port)
        wrong = a_bundle(folder / "2", engine, key, name, port=port, city="Rome")
        making.clear_engine(engine, name)
        yield Serving(name, port, good, wrong, key)
    finally:
        making.clear_engine(engine, name)


def a_bundle(
    folder: Path,
    engine: hosts.Engine,
    key: Key,
    name: str,
    *,
    port: int,
    city: str = "Paris",
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Build a bundle of an LLM, published on `port`, and a Qdrant that is not.

    `more` are services beside them.
    """
    references = {image: f"{name}/{image}:{folder.name}" for image in ("llm", "qdrant")}
    folder.mkdir(parents=True)
    for reference in references.values():
        import_speaking(folder, engine, reference, city)
    published = [f"127.0.0.1:{port}:8000"]
    services = {
        "llm": a_service("llm", LLM, ports=published, restart="unless-stopped"),
        "vectors": a_service("qdrant", QDRANT),
        **(more or {}),
    }
    making.write_files(folder, {"compose.yaml": json.dumps({"services": services})})
    spec = making.a_spec(
        folder,
        name,
        version=folder.name,
        serial=int(folder.name),
        images={image: {"engine": ref} for image, ref in references.items()},
        stack="compose.yaml",
        smoke=SMOKE,
    )
    return making.build(spec, key, folder.parent / "out")


def import_speaking(
    folder: Path, engine: hosts.Engine, reference: str, city: str = "Paris"
) -> None:
    """Put an image that speaks like a server into the engine, other than all others."""
    busybox = Path(SHELL).read_bytes()
    files = {"bin/busybox": busybox, "bin/sh": busybox, "about": reference.encode()}
    files[SCRIPT] = script(city)
    layer = folder / "layer.tar"
    layer.write_bytes(a_layer(files))
    engine.run("import", str(layer), reference)


def a_service(image: str, runs: str, **more: Any) -> dict[str, Any]:
    """Return a service that runs a shell line, and ends at once when it is told to."""
    words = [SHELL, "sh", "-c", runs.replace("$", "$$")]
    return {"image": image, "command": words, "stop_grace_period": "0s", **more}
