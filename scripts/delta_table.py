"""Measure deltas: what travels the second time, by what has changed.

A model like those of the Llama family and an image of four layers are built once in
full; then, changed in one way each, again in full and as a delta on the first bundle.
Beside these stands what would travel if whole files were compared. The same arguments
give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from making import a_key, a_spec, build  # noqa: E402
from registries import (  # noqa: E402
    PROGRAM,
    MadeLayer,
    make_image,
    make_layer,
    running_registry,
)

HIDDEN, INNER, HEADS, VOCABULARY = 1024, 2816, 256, 32000
MIB = 1 << 20

Tensors = dict[str, tuple[int, int]]
"""Rows and columns of each tensor by name, in the order of the file."""


@dataclass(frozen=True)
class Model:
    """A model to be written: its tensors, of which some have another seed."""

    tensors: Tensors
    shards: int
    changed: frozenset[str] = frozenset()


def llama(layers: int, vocabulary: int = VOCABULARY) -> Tensors:
    """Return the tensors of a small transformer, in the order of the Hub's files."""
    found = {"model.embed_tokens.weight": (vocabulary, HIDDEN)}
    for number in range(layers):
        place = f"model.layers.{number}"
        found |= {
            f"{place}.input_layernorm.weight": (1, HIDDEN),
            f"{place}.mlp.down_proj.weight": (HIDDEN, INNER),
            f"{place}.mlp.gate_proj.weight": (INNER, HIDDEN),
            f"{place}.mlp.up_proj.weight": (INNER, HIDDEN),
            f"{place}.post_attention_layernorm.weight": (1, HIDDEN),
            f"{place}.self_attn.k_proj.weight": (HEADS, HIDDEN),
            f"{place}.self_attn.o_proj.weight": (HIDDEN, HIDDEN),
            f"{place}.self_attn.q_proj.weight": (HIDDEN, HIDDEN),
            f"{place}.self_attn.v_proj.weight": (HEADS, HIDDEN),
        }
    return found | {"model.norm.weight": (1, HIDDEN)}


def cases(layers: int) -> Iterator[tuple[str, Model]]:
    """Yield what may happen to a model, and the model after it."""
    plain = llama(layers)
    attention = [n for n in plain if n.endswith(("q_proj.weight", "v_proj.weight"))]
    one = "model.layers.1.mlp.up_proj.weight"
    yield "identical", Model(plain, 4)
    yield "re-sharded, 4 files to 3", Model(plain, 3)
    yield "merged, 4 files to 1", Model(plain, 1)
    yield "one tensor changed", Model(plain, 4, frozenset([one]))
    yield "one layer added", Model(llama(layers + 1), 4)
    yield "vocabulary grown by 64 rows", Model(llama(layers, VOCABULARY + 64), 4)
    yield "q and v of every layer tuned", Model(plain, 4, frozenset(attention))
    yield "every tensor tuned", Model(plain, 4, frozenset(plain))


def write_model(folder: Path, model: Model) -> None:
    """Write the model's shards, each with about as many bytes, and its config."""
    folder.mkdir(parents=True)
    total = sum(rows * columns for rows, columns in model.tensors.values())
    shards: list[Tensors] = [{} for _ in range(model.shards)]
    done = 0
    for name, (rows, columns) in model.tensors.items():
        shards[min(done * model.shards // total, model.shards - 1)][name] = (
            rows,
            columns,
        )
        done += rows * columns
    for number, tensors in enumerate(shards, 1):
        name = f"model-{number:05}-of-{model.shards:05}.safetensors"
        _write_shard(folder / name, tensors, model.changed)
    config = {"model_type": "llama", "hidden_size": HIDDEN}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _write_shard(path: Path, tensors: Tensors, changed: frozenset[str]) -> None:
    header, at = {}, 0
    for name, (rows, columns) in tensors.items():
        end = at + 2 * rows * columns
        shape, offsets = [rows, columns], [at, end]
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": offsets}
        at = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, (rows, columns) in tensors.items():
            file.write(_values(f"{name}{name in changed}", rows * columns))


def _values(seed: str, count: int) -> bytes:
    """Return numbers spread like weights; of two counts, one begins like the other."""
    digest = hashlib.sha256(seed.encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    floats = random.standard_normal(count, dtype=np.float32) * np.float32(0.02)
    return (floats.view(np.uint32) >> 16).astype("<u2").tobytes()


class Shop:
    """Builds bundles below a folder and measures them."""

    def __init__(self, root: Path) -> None:
        self.root, self.key = root, a_key(root / "key")
        self._count = 0

    def size(self, parts: Mapping[str, object], *options: str | Path) -> int:
        """Build a bundle, and return the bytes that travel."""
        bundle = self.bundle(parts, *options)
        size = sum(file.stat().st_size for file in bundle.iterdir())
        shutil.rmtree(bundle)
        return size

    def bundle(self, parts: Mapping[str, object], *options: str | Path) -> Path:
        """Build a bundle of models and images."""
        self._count += 1
        spec = a_spec(self.root / "spec", "table", serial=self._count, **parts)
        return build(spec, self.key, self.root / f"out-{self._count}", *options)


def model_rows(shop: Shop, layers: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield a row for each case: its name, full bundle, whole files, delta."""
    first: Path | None = None
    old: dict[str, str] = {}
    for name, model in cases(layers):
        folder = shop.root / "model"
        write_model(folder, model)
        parts = {"models": {"m": {"path": str(folder)}}}
        if first is None:
            first, old = shop.bundle(parts), _digests(folder)
        full, delta = shop.size(parts), shop.size(parts, "--base", first)
        yield name, full, _changed_size(old, folder, full), delta
        shutil.rmtree(folder)


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
    }


def _changed_size(old: Mapping[str, str], folder: Path, full: int) -> int:
    """Return what whole files would come to, compressed as well as the full bundle."""
    new = _digests(folder)
    sizes = {name: (folder / name).stat().st_size for name in new}
    fresh = sum(sizes[name] for name in new if new[name] not in old.values())
    return full * fresh // sum(sizes.values())


def image_rows(shop: Shop) -> Iterator[tuple[str, int, int, int]]:
    """Yield the same rows for an image of four layers of 8 MiB."""
    old = [_layer(name) for name in ("os", "cuda", "torch", "app")]
    changes: list[tuple[str, Callable[[list[MadeLayer]], list[MadeLayer]]]] = [
        ("image: identical", lambda layers: layers),
        ("image: top layer of 4 changed", lambda x: [*x[:3], _layer("new app")]),
        ("image: bottom layer of 4 changed", lambda x: [_layer("new os"), *x[1:]]),
    ]
    with running_registry(shop.root) as registry:
        insecure = ("--insecure-registry", registry.host)
        first: Path | None = None
        for number, (name, change) in enumerate(changes):
            layers = change(old)
            tag = f"table:{number}"
            registry.push_image(tag, make_image(layers))
            parts = {"images": {"i": {"pull": f"{registry.host}/{tag}"}}}
            first = first or shop.bundle(parts, *insecure)
            full = shop.size(parts, *insecure)
            delta = shop.size(parts, *insecure, "--base", first)
            fresh = sum(len(layer.data) for layer in layers if layer not in old)
            whole = sum(len(layer.data) for layer in layers) if fresh else 0
            yield name, full, whole, delta


def _layer(seed: str) -> MadeLayer:
    return make_layer({f"{seed}.bin": hashlib.shake_128(seed.encode()).digest(8 * MIB)})


@contextmanager
def workplace(folder: Path | None) -> Iterator[Shop]:
    """Give a shop in a folder that is gone at the end."""
    with tempfile.TemporaryDirectory(dir=folder) as root:
        yield Shop(Path(root))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="scripts/delta_table", description=__doc__)
    parser.add_argument(
        "--layers", type=int, default=8, help="of the model; 22 MB each"
    )
    parser.add_argument("--work", type=Path, metavar="DIR", help="a place with room")
    args = parser.parse_args()
    print("| what changed | full bundle | whole files | delta | of full |")
    print("|---|---|---|---|---|")
    with workplace(args.work) as shop:
        rows = [model_rows(shop, args.layers)]
        rows += [image_rows(shop)] if os.path.exists(PROGRAM) else []
        for each in rows:
            for name, full, whole, delta in each:
                sizes = " | ".join(f"{n / MIB:.1f} MiB" for n in (full, whole, delta))
                print(f"| {name} | {sizes} | {delta / full:.4f} |", flush=True)


if __name__ == "__main__":
    main()
