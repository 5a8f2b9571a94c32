"""Make the golden bundle with the real command, from inputs that are written here.

Kept to show what went into the bundle, which is never made again (see README.md). The
keys it signs with are thrown away, so a second run gives other signatures.

    PYTHONPATH=tests python tests/golden/make.py DIRECTORY
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

import registries
from hubserver import HubServer
from making import a_key, noise, run, sealift, write_files
from mixed import safetensors, text, weights
from sealift_bundler.keygen import generate_key

EPOCH = "1767225600"  # 2026-01-01T00:00:00Z
REGISTRY = "localhost:5000"
REPO, TAG = "acme/tiny-chat", "v1.0"

COMPOSE = """\
services:
  web:
    image: web
    command: [serve, /models/chat, /models/local]
    volumes:
      - chat:/models/chat:ro
      - local:/models/local:ro
      - ./web.conf:/etc/web.conf:ro
    ports:
      - "127.0.0.1:8080:8080"
"""


def hub_files() -> dict[str, bytes]:
    """Return the model that comes from a Hub; `tokenizer.json` is in both models."""
    config = {"architectures": ["TinyChat"], "hidden_size": 64, "model_type": "tiny"}
    return {
        "config.json": json.dumps(config, indent=2).encode() + b"\n",
        "model.safetensors": safetensors(
            {"embed": ("BF16", 2, weights("embed", 2048, 2))}
        ),
        "tokenizer.json": text("tokenizer", 60),
    }


def local_files() -> dict[str, bytes]:
    """Return the model from a directory: F32 weights, an empty and a nested file."""
    return {
        "EMPTY": b"",
        "config.json": b'{"model_type": "tiny"}\n',
        "model.safetensors": safetensors(
            {
                "dense": ("F32", 4, weights("dense", 1024, 4)),
                "packed": ("U8", 1, noise("packed", 1500)),
            }
        ),
        "tokenizer.json": text("tokenizer", 60),
        "1_Pooling/r\u00e9sum\u00e9 \u03b2.txt": text("nested", 4),
    }


def an_image() -> registries.MadeImage:
    """Return the image: one plain layer, for gzip's bytes depend on its version."""
    layer = registries.make_layer({"bin/serve": noise("serve", 900)}, gzipped=False)
    settings = {"Entrypoint": ["/bin/serve"], "Env": ["CUDA_VERSION=12.4.1"]}
    return registries.make_image([layer], config=settings)


def write_spec(folder: Path) -> Path:
    """Write the spec and what it names."""
    spec = {
        "sealift": 1,
        "name": "golden",
        "version": "1.0.0",
        "serial": 1,
        "models": {
            "chat": {"huggingface": REPO, "revision": TAG, "layout": "hf-cache"},
            "local": {"path": "local"},
        },
        "images": {"web": {"pull": f"{REGISTRY}/acme/web:1.0"}},
        "stack": "stack/compose.yaml",
    }
    write_files(folder / "local", local_files())
    write_files(folder / "stack", {"compose.yaml": COMPOSE, "web.conf": "port 8080\n"})
    write_files(folder, {"sealift.yaml": json.dumps(spec, indent=1)})
    return folder / "sealift.yaml"


def make(output: Path) -> None:
    """Build the bundle below `output`, and leave the public keys beside it."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        keys = [a_key(work / "golden-ed25519").private, work / "golden-p384"]
        generate_key(keys[1], "p384", comment="golden-p384")
        with HubServer({}) as hub, _registry(work / "registry") as registry:
            hub.commit(REPO, hub_files(), name=TAG)
            registry.push_image("acme/web:1.0", an_image())
            sealift(
                *("build", write_spec(work / "in"), "-q", "-o", work / "out"),
                *("--cache", work / "cache", "--insecure-registry", REGISTRY),
                *(word for key in keys for word in ("--sign-key", key)),
                env={"HF_ENDPOINT": hub.endpoint, "SOURCE_DATE_EPOCH": EPOCH},
            ).expect(0)
        run(["cp", "-R", work / "out/golden-1.0.0", output / "bundle-v1"]).expect(0)
        for public in (*work.glob("golden-*.pub"), *work.glob("golden-*.pem")):
            (output / public.name).write_bytes(public.read_bytes())
    _list_files(output)


def _registry(folder: Path) -> AbstractContextManager[registries.Registry]:
    # The port is part of the image's name, so it must be the same every time.
    registries._free_port = lambda: int(REGISTRY.rpartition(":")[2])
    folder.mkdir()
    return registries.running_registry(folder)


def _list_files(output: Path) -> None:
    """Write the digests of everything, signatures and keys included."""
    files = sorted(path for path in output.rglob("*") if path.is_file())
    names = [str(path.relative_to(output)) for path in files]
    run(["sh", "-c", 'sha256sum -- "$@" > all.sha256', "sh", *names], cwd=output)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
