"""Which docker command builds an image, how it is asked, and what it leaves."""

import base64
import json
import os

import pytest
from sealift_bundler.engine.build import (
    Builder,
    BuildRequest,
    build_command,
    check_no_secrets,
    find_builder,
)
from sealift_manifests.errors import (
    ImageBuildError,
    SourceContentError,
)

SECRET = "hf_" + "Sq7" * 12


def a_docker(folder, body):
    folder.mkdir()
    (folder / "docker").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "docker").chmod(0o755)
    return str(folder)


PLAIN = 'test "$1" = --version && echo "Docker version %s, build x"'
BUILDX = 'test "$1" = buildx && echo "github.com/docker/buildx v0.29.1"'


def test_buildx_is_preferred_wherever_it_is_on_the_path(tmp_path):
    path = [
        a_docker(tmp_path / "old", PLAIN % "20.10.24+dfsg1"),
        a_docker(tmp_path / "new", BUILDX),
    ]

    builder = find_builder(os.pathsep.join(path))

    assert builder.command == (f"{path[1]}/docker", "buildx", "build")
    assert builder.is_buildx


def test_an_old_docker_command_has_buildkit_built_in(tmp_path):
    path = [
        a_docker(tmp_path / "bare", PLAIN % "28.2.2"),
        a_docker(tmp_path / "old", PLAIN % "20.10.24+dfsg1"),
    ]

    builder = find_builder(os.pathsep.join(path))

    assert builder == Builder((f"{path[1]}/docker", "build"), {"DOCKER_BUILDKIT": "1"})


def test_without_buildkit_it_is_said_what_was_found(tmp_path):
    path = a_docker(tmp_path / "bare", PLAIN % "28.2.2")

    with pytest.raises(ImageBuildError, match=r"28\.2\.2.*no buildx") as caught:
        find_builder(path)

    assert "docker-buildx" in caught.value.hint


def test_with_buildx_the_image_is_loaded_without_provenance(tmp_path):
    request = BuildRequest(
        tmp_path,
        "web:1",
        "linux/arm64",
        target="last",
        args={"B": "2", "A": "1"},
        secrets={"t": tmp_path / "a,b"},
    )

    command = build_command(Builder(("docker", "buildx", "build"), {}, True), request)

    assert "--load" in command
    assert "--provenance=false" in command
    assert f'id=t,"src={tmp_path}/a,b"' in command
    assert command.index("A=1") < command.index("B=2")
    assert command[-1] == str(tmp_path)


@pytest.mark.parametrize(
    "form", [SECRET, f"x{SECRET}y", base64.b64encode(SECRET.encode()).decode()]
)
def test_a_secret_is_found_wherever_it_stands_in_a_config(tmp_path, form):
    (tmp_path / "t").write_text(SECRET)
    config = json.dumps({"history": [{"created_by": f"RUN |1 {form}"}]}).encode()

    with pytest.raises(SourceContentError):
        check_no_secrets(config, {"t": tmp_path / "t"}, "web:1")
