"""A secret that got into an image stops the build, whichever way the image comes."""

from __future__ import annotations

from pathlib import Path

import hosts
import making
import pytest
from engines import unique
from making import Key
from registries import make_image, make_layer, running_registry

PHRASE = "correct horse battery staple"
TOKEN = "hf" + "_" + "aB3dE5gH7jK9mN2pQ4rS6tU8vW1xY3zA5c"

pytestmark = pytest.mark.usefixtures("no_login")


def test_a_build_secret_that_was_copied_into_a_layer_is_found_by_its_value(
    engine: hosts.Engine, key: Key, tmp_path: Path
):
    name = unique("leak")
    making.write_files(
        tmp_path,
        {
            "web/Dockerfile": "FROM scratch\nCOPY settings /app/settings\n",
            "web/settings": f"a=1\npassword={PHRASE}\n",
            "phrase": PHRASE,
        },
    )
    built = {"context": "web", "secrets": {"phrase": "phrase"}}
    spec = making.a_spec(
        tmp_path, name, images={"web": {"build": built, "tag": f"{name}:1"}}
    )

    try:
        failed = making.sealift(
            "build", spec, "--sign-key", key.private, "-o", tmp_path
        )
    finally:
        making.clear_engine(engine, name)

    failed.expect(25, "app/settings, line 2: the build's secret phrase")
    assert PHRASE not in failed.said
    assert not (tmp_path / f"{name}-1.0.0").exists()


def test_a_token_in_a_pulled_image_stops_the_build_unless_its_file_is_named(
    key: Key, tmp_path: Path
):
    layer = make_layer({"srv/sample.env": f"T={TOKEN}\n".encode()})
    with running_registry(tmp_path) as registry:
        registry.push_image("app:1", make_image([layer]))
        image = {"pull": f"{registry.host}/app:1"}
        options = ["--sign-key", key.private, "--insecure-registry", registry.host]

        spec = making.a_spec(tmp_path, "app", images={"web": image})
        failed = making.sealift("build", spec, *options, "-o", tmp_path)
        allowed = {**image, "not_secret": ["srv/*.env"]}
        spec = making.a_spec(tmp_path, "app", images={"web": allowed})
        built = making.sealift("build", spec, *options, "-o", tmp_path)

    failed.expect(25, "layer 1: srv/sample.env, line 1", "not_secret")
    assert TOKEN not in failed.said
    built.expect(0)
