"""Compose files as people write them: what is collected, refused, advised, rendered.

What travels is read by docker-compose 1.29 and by Compose v2, and means to Compose v2
what the user's own files mean to it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import corpus
import pytest
from sealift_manifests.errors import SealiftError

OLD = "/usr/bin/docker-compose"


def taken() -> list[corpus.Taken]:
    """Return the cases that Sealift takes."""
    found = []
    for case in corpus.CASES:
        try:
            found.append(corpus.take(case))
        except SealiftError:
            continue
    return found


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, corpus.Taken]:
    """Every stack that travels, each in a directory as on a host."""
    folder = tmp_path_factory.mktemp("stacks")
    cases = taken()
    assert len(cases) > 25
    return {
        case.written(folder / case.spec.stack[0].parent.name): case for case in cases
    }


@pytest.mark.parametrize("case", corpus.CASES)
def test_a_compose_file_becomes_what_is_expected(case):
    folder = corpus.CORPUS / case

    facts, compose = corpus.outcome(case)

    rendered = folder / "expected.yaml"
    assert facts == json.loads((folder / "expected.json").read_bytes())
    assert compose == (rendered.read_bytes() if rendered.exists() else b"")


@pytest.mark.skipif(not shutil.which(OLD), reason="needs docker-compose 1.29")
def test_docker_compose_1_29_takes_every_stack_that_travels(stacks):
    python = Path(OLD).read_text().splitlines()[0].removeprefix("#!")

    done = subprocess.run([python, "-c", ALL, *stacks], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["0"] * len(stacks)


ALL = """
import os, sys
from compose.cli.main import main
for stack in sys.argv[1:]:
    os.chdir(stack)
    sys.argv = ["docker-compose", "--file", "compose.yaml", "config", "--quiet"]
    try:
        main()
        print(0)
    except SystemExit as ended:
        print(stack, ended.code)
"""
"""Runs docker-compose's own command in many directories: starting it takes longest."""


def test_compose_v2_takes_every_stack_that_travels(stacks, compose_v2):
    for stack in stacks:
        done = subprocess.run(
            [*compose_v2, "--file", "compose.yaml", "config", "--quiet"],
            cwd=stack,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, ""), stack.name


def test_what_travels_means_what_the_users_own_files_mean(stacks, compose_v2, tmp_path):
    for folder, case in stacks.items():
        own = case.spec.stack[0].parent
        asked = [f"--file={path.name}" for path in case.spec.stack]
        # Who names a model in Sealift need not say it is a volume.
        models = tmp_path / "models.yaml"
        models.write_text(
            json.dumps({"volumes": dict.fromkeys(case.stack.used_models)})
        )
        asked += [f"--file={models}"]
        asked += [f"--profile={profile}" for profile in case.spec.profiles]

        original = meaning([*compose_v2, *asked], own, case)
        rendered = meaning([*compose_v2, "--file=compose.yaml"], folder, case)

        assert rendered == original, folder.name


def meaning(compose: list[str], folder: Path, case: corpus.Taken) -> Any:
    """Return what Compose v2 makes of files, without what Sealift means to change."""
    done = subprocess.run(
        [*compose, "config", "--format=json"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    text = json.loads(done.stdout.replace(str(folder), "."))
    value = {k: v for k, v in text.items() if k != "name" and not k.startswith("x-")}
    models = case.stack.used_models
    value["volumes"] = {
        name: {**held, "name": ""}
        for name, held in value.get("volumes", {}).items()
        if name not in models
    }
    for held in value.get("networks", {}).values():
        held.pop("name")
    for service in value["services"].values():
        for key in ("image", "build", "pull_policy", "profiles", *NEWER):
            service.pop(key, None)
        service["volumes"] = [
            _mount(each, models) for each in service.get("volumes", ())
        ]
        needed = service.pop("depends_on", {})
        service["depends_on"] = {
            name: held["condition"]
            for name, held in needed.items()
            if name in value["services"]
        }
        service.get("healthcheck", {}).pop("start_interval", None)
        for port in service.get("ports", ()):
            port.pop("name", None)
            port.pop("app_protocol", None)
    return value


NEWER = ("annotations", "attach", "develop")
"""What docker-compose 1.29 does not know and a host does without."""


def _mount(mount: dict[str, Any], models: list[str]) -> dict[str, Any]:
    """Return a mount; those of models and of files that travel are read-only."""
    carried = mount.get("source", "").startswith("./")
    if mount.get("source") in models or carried:
        return {"source": mount["source"], "target": mount["target"]}
    return mount
