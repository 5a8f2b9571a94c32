"""Templates are whole, follow good practice, and their stacks start on a real engine.

The large images cannot be had here: small stand-ins take their place, on the CPU.
"""

from __future__ import annotations

import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hosts
import making
import pytest
import yaml
from engines import unique
from making import Host, Key
from ollama_models import make_model, write_store
from sealift_bundler.hygiene.services import services_advice
from sealift_bundler.init_template import template_files, template_names
from sealift_bundler.insides.needs import ImageConfig
from sealift_bundler.pack_stack import load_stack
from sealift_bundler.serving.services import services_needs
from sealift_bundler.spec_load import load_spec
from sealift_manifests.serving.words import resolved
from stand_ins import MODELS, import_stand_in

ROOT = Path(__file__).resolve().parents[2]
AUDIT, BAKED = "service audit", "service vllm"
STANDS_IN_THE_IMAGE = {
    # Open WebUI is run as root by its makers.
    "rag": {("image-runs-as-root", "service webui")},
    "sidecar": {("image-runs-as-root", AUDIT), ("image-no-healthcheck", AUDIT)},
    "vllm-baked": {("image-runs-as-root", BAKED), ("image-no-healthcheck", BAKED)},
}
"""What the Compose file of a template leaves to the image."""


@pytest.fixture(params=template_names())
def template(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(template: str, tmp_path: Path) -> Path:
    """A new directory with the template, as `sealift init` writes it."""
    folder = tmp_path / "acme"
    made = making.sealift("init", folder, "--template", template, "--name", "acme")
    made.expect(0, "next: sealift keygen")
    return folder


def compose_of(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / "compose.yaml").read_bytes()))


def test_the_readme_names_every_template():
    text = (ROOT / "README.md").read_text()

    assert [name for name in template_names() if f"`{name}`" not in text] == []


def test_a_template_is_a_spec_and_a_stack_that_sealift_takes(folder):
    spec = load_spec(folder / "sealift.yaml")

    assert spec.name == "acme"
    assert load_stack(spec) is not None
    assert b"@NAME@" not in b"".join(p.read_bytes() for p in folder.rglob("*.*"))


def test_compose_takes_a_template_as_it_is(folder, engine):
    compose = shutil.which("docker-compose")
    command = [compose] if compose else ["docker", "compose"]

    subprocess.run([*command, "config"], cwd=folder, check=True, capture_output=True)


def test_a_template_follows_our_own_advice(template, folder):
    stack = load_stack(load_spec(folder / "sealift.yaml"))
    assert stack is not None
    bare = dict.fromkeys(stack.images.values(), ImageConfig({}))

    found = {(each.slug, each.about) for each in services_advice(stack, bare)}

    expected = STANDS_IN_THE_IMAGE.get(template, set())
    assert found == expected


def test_every_service_is_bounded_and_kept_to_itself(template, folder):
    for name, service in compose_of(folder)["services"].items():
        options = service["logging"]["options"]
        assert {"max-size", "max-file"} <= set(options), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        for port in service.get("ports", []):
            assert str(resolved(port)).startswith("127.0.0.1:"), name
        if name != "audit":
            assert service["deploy"]["resources"]["limits"]["memory"], name
            assert service["restart"] == "unless-stopped", name


def test_every_template_leaves_port_address_and_logs_to_the_host(folder):
    spec = load_spec(folder / "sealift.yaml")

    settings = {setting.name: setting for setting in spec.open_to_sites().settings}

    assert {"PORT", "ADDRESS", "LOG_SIZE", "GPUS", "MEMORY"} <= set(settings)
    assert settings["ADDRESS"].default == "127.0.0.1"
    assert all(each.help and each.default for each in settings.values())


@pytest.mark.parametrize("template", ["vllm", "llama-cpp"])
def test_a_template_shows_how_to_demand_a_key_of_clients(template, tmp_path):
    folder = making.write_files(tmp_path / "acme", template_files(template, "acme"))
    for file in ("sealift.yaml", "compose.yaml"):
        path = folder / file
        text = path.read_text()
        if template == "vllm":
            text = text.replace("    entrypoint: [vllm, serve]\n", "")
        for words in (
            "secrets:",
            "  api-key:",
            "headers:",
            "- --api-key",
            "- /run/secrets/",
        ):
            text = text.replace(f"# {words}", words)
        for words in ("entrypoint:", "  - sh", "  - -c", "  - 'VLLM"):
            text = text.replace(f"# {words}", words)
        path.write_text(text)

    spec = load_spec(folder / "sealift.yaml")
    stack = load_stack(spec)

    assert stack is not None
    assert [secret.label for secret in stack.site.secrets] == ["api-key"]
    assert [smoke.test().secrets for smoke in spec.smoke] == [("api-key",)] * 2
    (needs,) = services_needs(
        stack, {"server": ImageConfig({}, ("/app/llama-server",))}
    )
    assert (needs.server, needs.max_model_len) == (
        {"vllm": "vllm", "llama-cpp": "llama.cpp"}[template],
        16384,
    )


def test_no_template_can_mean_another_image_tomorrow(folder):
    spec = load_spec(folder / "sealift.yaml")

    for image in spec.images.values():
        assert image.build or ":" in str(image.pull)


@pytest.mark.skipif(
    shutil.which("hadolint", path=making.SEALIFT.parent) is None,
    reason="hadolint is packed for x86-64 only",
)
def test_a_linter_finds_nothing_in_the_dockerfiles(folder):
    hadolint = making.SEALIFT.with_name("hadolint")

    for dockerfile in folder.rglob("Dockerfile"):
        linted = making.run([hadolint, "--no-color", dockerfile])
        assert (linted.code, linted.out) == (0, "")


def test_a_template_that_is_not_there_and_a_wrong_name_are_refused(tmp_path):
    making.sealift("init", tmp_path / "a", "--template", "x").expect(2, "vllm-baked")
    making.sealift("init", tmp_path / "b", "--template", "rag", "--name", "A!").expect(
        2, "cannot name a bundle"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_template_asks_each_server_something(template, folder):
    spec = load_spec(folder / "sealift.yaml")
    asked = {smoke.service for smoke in spec.smoke}

    assert asked == set(compose_of(folder)["services"]) - {"audit"}
    assert any("Paris" in str(s.expect) or "paris" in str(s.expect) for s in spec.smoke)


# The same stacks with stand-ins


@dataclass(frozen=True)
class Served:
    """A stack that was installed and started: the port that it publishes here."""

    host: Host
    port: int

    def get(self, path: str) -> bytes:
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bytes(answer.read())


@pytest.fixture
def serve(
    engine: hosts.Engine, key: Key, tmp_path: Path
) -> Iterator[Callable[[str], Served]]:
    """Bundle a template with stand-ins, install it where no GPU is, and start it."""
    name = unique("tpl")

    def started(template: str) -> Served:
        folder = making.write_files(tmp_path / "spec", template_files(template, name))
        _fit_to_this_machine(folder, tmp_path / "host/state")
        spec = _with_stand_ins(folder, engine, name)
        bundle = making.build(spec, key, tmp_path / "out")
        host = Host(tmp_path / "host", bundle / making.PYZ)
        port = hosts.free_port()
        given = ("--set", f"PORT={port}")
        host.run("install", bundle, "--key", key.public, *given).expect(0)
        started = host.run("start", "--wait", "60").expect(0, f"{name} is up")
        assert started.out.count("smoke ") > 1
        return Served(host, port)

    try:
        yield started
    finally:
        making.clear_engine(engine, name)


def _fit_to_this_machine(folder: Path, state: Path) -> None:
    """Take the GPUs out, look at health more often, move the state.

    The reservation of a GPU cannot be met here; everything else stays.
    """
    value = compose_of(folder)
    for service in value["services"].values():
        service.get("deploy", {}).get("resources", {}).pop("reservations", None)
        if "healthcheck" in service:
            service["healthcheck"]["interval"] = "1s"
        for number, mount in enumerate(service.get("volumes", [])):
            service["volumes"][number] = mount.replace("/var/lib/sealift", str(state))
        service["stop_grace_period"] = "1s"
    (folder / "compose.yaml").write_text(yaml.safe_dump(value, sort_keys=False))


def _with_stand_ins(folder: Path, engine: hosts.Engine, name: str) -> Path:
    text = (folder / "sealift.yaml").read_text()
    spec = yaml.load(text, yaml.BaseLoader)
    left = (folder / "compose.yaml").read_text()
    services = compose_of(folder)["services"]
    for service, held in services.items():
        if service == "audit":
            _base_of_busybox(folder / "audit")
            spec["images"]["audit"]["build"]["context"] = "audit"
            spec["images"]["audit"]["tag"] = f"{name}/audit:1"
            continue
        import_stand_in(engine, service, f"{name}/{service}:1", folder)
        spec["images"][held["image"]] = {"engine": f"{name}/{service}:1"}
    for key, model in spec.get("models", {}).items():
        if "ollama" in model:
            path = "registry.ollama.ai/library/tiny/1b"
            write_store(folder / "store", {path: make_model(key)})
            spec["models"][key] = {"ollama": {"store": "store", "model": "tiny:1b"}}
        else:
            making.write_files(folder / key, making.model_files(key))
            spec["models"][key] = {"path": key}
    return making.a_spec(
        folder,
        name,
        models=spec.get("models", {}),
        images=spec["images"],
        stack=spec["stack"],
        settings={k: v for k, v in spec["settings"].items() if f"${{{k}:" in left},
        smoke=yaml.safe_load(text)["smoke"],
    )


def _base_of_busybox(context: Path) -> None:
    """Build the audit's image on this machine's busybox: its base is not here."""
    dockerfile = (context / "Dockerfile").read_text()
    lines = dockerfile.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("FROM "))
    lines[start : start + 1] = [
        "FROM scratch",
        "COPY --chmod=0755 busybox /bin/busybox",
        "COPY --chmod=0755 busybox /bin/sh",
        'RUN ["/bin/busybox", "--install", "/bin"]',
    ]
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")
    shutil.copy("/bin/busybox", context / "busybox")


@pytest.mark.parametrize(
    ("template", "path", "answer"),
    [
        ("vllm", "/v1/models", MODELS),
        ("tgi", "/health", b"ok"),
        ("llama-cpp", "/v1/models", MODELS),
        ("ollama", "/api/tags", b'{"models": []}'),
        ("rag", "/health", b"ok"),
        ("sidecar", "/v1/models", MODELS),
    ],
)
@pytest.mark.slow
def test_a_stack_of_a_template_is_bundled_installed_started_and_answers(
    serve, template, path, answer
):
    served = serve(template)

    assert served.get(path) == answer


@pytest.mark.slow
def test_the_sidecar_keeps_the_server_from_changed_weights(serve, engine):
    served = serve("sidecar")
    (current,) = (served.host.state / "current").iterdir()
    (tree,) = (served.host.state / "volumes/chat").iterdir()
    served.host.run("stop").expect(0)
    making.flip(tree / "model.safetensors")

    again = making.run(
        ["docker-compose", "-p", f"sealift-{current.name}", "up", "--no-color", "-d"],
        cwd=current / "stack",
    )

    assert again.code != 0
    running = engine.text("ps", "--filter", f"name={current.name}", "--format", "x")
    assert running.split() == []
