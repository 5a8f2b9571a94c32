"""What `sealift init` writes: a first bundle, or a template of a serving stack.

The first bundle needs no network: its weights are made here, and its image holds
nothing but this machine's static busybox. Returns bytes; writing is for the command.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from sealift_manifests.errors import UsageError
from sealift_manifests.paths import is_label

from sealift_bundler.spec import SCHEMA_NAME, schema_bytes

_BUSYBOX = ("/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static")
_PLATFORMS = {62: "linux/amd64", 183: "linux/arm64"}  # ELF e_machine
_PT_INTERP = 3
_SHAPES = {
    "lm_head.weight": (64, 32),
    "model.embed_tokens.weight": (64, 32),
    "model.norm.weight": (32,),
}


def template_names() -> tuple[str, ...]:
    """Return the names of the templates for serving stacks."""
    return tuple(sorted(each.name for each in _templates().iterdir() if each.is_dir()))


def template_files(template: str, name: str) -> dict[str, bytes]:
    """Return the files of a template for the bundle `name`, by their paths."""
    _check_name(name)
    if template not in template_names():
        raise UsageError(
            f"there is no template {template!r}",
            hint=f"Templates: {', '.join(template_names())}.",
        )
    files = dict(_files_below(_templates() / template, name))
    return {SCHEMA_NAME: schema_bytes(), **files}


def _templates() -> Traversable:
    return resources.files("sealift_bundler") / "template"


def _files_below(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir():
            for path, data in _files_below(each, name):
                yield f"{each.name}/{path}", data
        else:
            yield each.name, each.read_bytes().replace(b"@NAME@", name.encode())


def _check_name(name: str) -> None:
    if not is_label(name):
        raise UsageError(
            f"{name!r} cannot name a bundle",
            hint="Use lowercase letters, digits, - and _, at most 63.",
        )


def init_files(name: str, *, with_image: bool | None = None) -> dict[str, bytes]:
    """Return the files of a first bundle, by their paths below its directory.

    Without `with_image`, the bundle has an image and a stack if this machine has
    a static busybox to put into it; else it carries weights only.
    """
    _check_name(name)
    busybox = None if with_image is False else static_busybox()
    if with_image and busybox is None:
        raise UsageError(
            "the example image needs a static busybox, and this machine has none",
            hint="Install it (`apt install busybox-static`), or start with weights "
            "only.",
        )
    platform = platform_of(busybox) if busybox else "linux/amd64"
    files = {
        SCHEMA_NAME: schema_bytes(),
        "models/tiny/config.json": _config(),
        "models/tiny/model.safetensors": _safetensors(),
        "sealift.yaml": _text(
            "sealift.yaml" if busybox else "weights-only.yaml", name, platform
        ),
    }
    if busybox:
        files["compose.yaml"] = _text("compose.yaml", name, platform)
        files["web/Dockerfile"] = _text("Dockerfile", name, platform)
        files["web/busybox"] = busybox
        files["web/health"] = b"ok\n"
    return files


def static_busybox() -> bytes | None:
    """Return this machine's busybox if it runs without any library."""
    for path in map(Path, _BUSYBOX):
        if path.is_file() and platform_of(data := path.read_bytes()):
            return data
    return None


def platform_of(program: bytes) -> str:
    """Return the platform of a static program; empty for every other file."""
    if program[:6] != b"\x7fELF\x02\x01" or len(program) < 64:
        return ""
    machine = struct.unpack_from("<H", program, 18)[0]
    start = struct.unpack_from("<Q", program, 32)[0]
    size, count = struct.unpack_from("<HH", program, 54)
    if start + size * count > len(program):
        return ""
    kinds = {
        struct.unpack_from("<I", program, start + size * each)[0]
        for each in range(count)
    }
    # A dynamic program names its loader, which an image without libraries lacks.
    return "" if _PT_INTERP in kinds else _PLATFORMS.get(machine, "")


def _text(file: str, name: str, platform: str) -> bytes:
    text = (_templates() / file).read_text()
    return text.replace("@NAME@", name).replace("@PLATFORM@", platform).encode()


def _config() -> bytes:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 32,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 0,
        "torch_dtype": "bfloat16",
        "vocab_size": 64,
    }
    return (json.dumps(config, indent=2) + "\n").encode()


def _safetensors() -> bytes:
    header, data = {}, b""
    for name, shape in _SHAPES.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        tensor = b"".join(_bfloat16(name, count))
        header[name] = {
            "dtype": "BF16",
            "shape": list(shape),
            "data_offsets": [len(data), len(data) + len(tensor)],
        }
        data += tensor
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def _bfloat16(seed: str, count: int) -> Iterator[bytes]:
    """Yield numbers in (-1, 1), the same on every run."""
    noise = hashlib.shake_256(seed.encode()).digest(4 * count)
    for (number,) in struct.iter_unpack("<i", noise):
        yield struct.pack("<f", number / 2**31)[2:]
