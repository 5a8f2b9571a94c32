"""An image without a pin is refused with the pin that would do, from its registry."""

from __future__ import annotations

from pathlib import Path

import making
import pytest
from registries import Registry, make_image, make_layer, running_registry, sha256

UNPINNED = 23


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory):
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def plan(folder: Path, registry: Registry, reference: str) -> making.Outcome:
    spec = making.a_spec(folder, "acme", images={"app": {"pull": reference}})
    words = ("plan", spec, "--insecure-registry", registry.host)
    return making.sealift(*words, "--cache", folder / "cache")


@pytest.mark.parametrize("tag", ["", ":latest"])
def test_latest_is_refused_with_what_it_means_today(registry, tmp_path, tag):
    image = make_image([make_layer({"a": b"first"})])
    registry.push_image("app:latest", image)
    pin = f"{registry.host}/app:latest@{sha256(image.manifest)}"

    refused = plan(tmp_path, registry, f"{registry.host}/app{tag}")
    pinned = plan(tmp_path, registry, pin)

    refused.expect(UNPINNED, "another image tomorrow", f'images.app: {{pull: "{pin}"}}')
    pinned.expect(0)


def test_a_registry_that_does_not_answer_leaves_how_a_pin_is_written(tmp_path):
    spec = making.a_spec(
        tmp_path, "acme", images={"app": {"pull": "127.0.0.1:9/app:latest"}}
    )

    refused = making.sealift("plan", spec, "--cache", tmp_path / "cache")

    refused.expect(UNPINNED, "app:TAG@sha256:DIGEST", "Give each image a version tag")
