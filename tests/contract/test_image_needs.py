"""One image pulled, built and taken from the engine asks the same of a host."""

from __future__ import annotations

from pathlib import Path

import making
import pytest
from engines import unique
from hosts import Engine
from image_insides import LIB_575, NOTE_575, compat_library, package, torch_files
from making import sealift
from registries import make_image, make_layer, running_registry
from sealift_manifests.model import parse_manifest
from sealift_manifests.preflight.needs import ImageNeeds
from sealift_manifests.preflight.notes import needs_of

ENVIRONMENT = {
    "CUDA_VERSION": "12.8.1",
    "NVIDIA_REQUIRE_CUDA": "cuda>=12.8",
    "LD_LIBRARY_PATH": "/usr/local/cuda/compat",
    "PATH": "/bin",
}
LOWER = {
    **torch_files("2.7.0+cu126", "12.6"),
    LIB_575: compat_library(),
    "etc/ld.so.conf.d/00-compat.conf": b"/usr/local/cuda-12.9/compat\n",
    "usr/local/cuda-12.8/compat/libcuda.so.570.26": b"replaced",
}
UPPER = {**torch_files("2.9.0+cu128", "12.8"), **package("vllm", "0.11.0")}
GONE = {
    "usr/local/lib/python3.12/dist-packages/torch-2.7.0.dist-info",
    "etc/ld.so.conf.d/00-compat.conf",
    "usr/local/cuda-12.8",
}


def whiteout(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/.wh.{name}"


def dockerfile() -> str:
    """Return the same image as a recipe, with busybox to take files away again."""
    lines = ["FROM scratch", "COPY busybox /bin/busybox", "COPY lower/ /"]
    gone = " ".join(f"/{path}" for path in sorted(GONE))
    lines += [f'RUN ["/bin/busybox", "sh", "-c", "/bin/busybox rm -r {gone}"]']
    lines += ["COPY upper/ /"]
    lines += [f'ENV {name}="{value}"' for name, value in ENVIRONMENT.items()]
    return "\n".join(lines) + "\n"


def build_needs(folder: Path, **image: object) -> ImageNeeds:
    """Build a bundle of one image and return what it asks for."""
    spec = making.a_spec(folder, "needs", images={"server": image})
    key = making.a_key(folder / "release")
    words = ["build", spec, "-q", "--sign-key", key.private, "-o", folder / "out"]
    sealift(*words, "--cache", folder / "cache").expect(0)
    (bundle,) = (folder / "out").iterdir()
    manifest = parse_manifest((bundle / "manifest.json").read_bytes())
    needs = needs_of(manifest)
    assert needs.unread == ()
    return needs.images[0]


def told(needs: ImageNeeds) -> tuple[object, ...]:
    """Return all but the sizes, which differ by how an engine packs."""
    return needs.cuda, needs.requires, needs.compat, needs.builds


@pytest.mark.docker
def test_a_pulled_a_built_and_a_saved_image_ask_the_same(
    tmp_path: Path, engine: Engine
) -> None:
    upper = {**{whiteout(path): b"" for path in GONE}, **UPPER}
    env = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    image = make_image([make_layer(LOWER), make_layer(upper)], config={"Env": env})
    context = making.write_files(tmp_path / "context", {"Dockerfile": dockerfile()})
    making.write_files(context / "lower", LOWER)
    making.write_files(context / "upper", UPPER)
    making.write_files(context, {"busybox": Path("/bin/busybox").read_bytes()})
    (context / "busybox").chmod(0o755)
    tag = f"{unique()}:1"

    try:
        with running_registry(tmp_path) as registry:
            registry.push_image("server:1", image)
            pulled = build_needs(tmp_path / "pulled", pull=f"{registry.host}/server:1")
        built = build_needs(
            tmp_path / "built", build={"context": str(context)}, tag=tag
        )
        saved = build_needs(tmp_path / "saved", engine=tag)
    finally:
        engine.run("rmi", "-f", tag, check=False)

    (library,) = pulled.compat or ()
    assert library.drivers == tuple(NOTE_575["driver"])
    assert library.forced_by == ("LD_LIBRARY_PATH",)
    assert [build.what for build in pulled.builds or ()] == ["torch", "vllm"]
    assert told(built) == told(pulled)
    assert told(saved) == told(pulled)
