"""Settings and secrets of a Compose file: what is taken, refused, and written."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import yaml
from sealift_bundler.compose import parse_stack, render_stack
from sealift_bundler.spec_settings import SiteSpec
from sealift_manifests.errors import SpecError
from sealift_manifests.settings import Secret, Setting

COMPOSE = "/usr/bin/docker-compose"
PORT = Setting("PORT", "port", "8000")
LENGTH = Setting("CONTEXT_LENGTH", "integer")
GPUS = Setting("GPUS", "gpus", "0")
COPIES = Setting("COPIES", "integer", "1")
LOUD = Setting("LOUD", "boolean", "true")
KEY = Secret("api-key", 32)
WHOLE = """
x-log: &log {driver: json-file, options: {max-size: "${LOG}"}}
services:
  llm:
    image: app:1
    command: [serve, --length, "${CONTEXT_LENGTH}", --loud=$LOUD, "$$PORT"]
    environment: {LENGTH: "${CONTEXT_LENGTH:?}", LOUD: "${LOUD:-yes}", X: "${X:-1}"}
    ports: ["127.0.0.1:${PORT}:8000"]
    logging: *log
    secrets: [api-key]
    labels: [a=b]
    scale: ${COPIES}
    deploy:
      resources:
        reservations:
          devices: [{driver: nvidia, device_ids: ["${GPUS}"], capabilities: [gpu]}]
"""
LOG = Setting("LOG", "text", "50m")
SITE = SiteSpec((PORT, LENGTH, GPUS, COPIES, LOUD, LOG), (KEY,))


@pytest.fixture
def parse(tmp_path):
    def parse(text, site=SITE):
        path = tmp_path / "compose.yaml"
        path.write_text(text)
        return parse_stack(path, {"app": "app:1"}, [], site)

    return parse


def rendered(stack):
    return render_stack(stack, "acme 1", {"app": "app:1-abc"}, {}).compose.decode()


def faults(parse, services, *settings, owned=(), **top):
    text = json.dumps({"services": services, **top}, indent=1)
    with pytest.raises(SpecError) as caught:
        parse(text, SiteSpec(settings, owned))
    return caught.value.message.splitlines()[1:]


def test_settings_are_written_with_their_defaults_and_others_are_filled(parse):
    service = yaml.safe_load(rendered(parse(WHOLE)))["services"]["llm"]

    required = "${CONTEXT_LENGTH?is a setting of this site without a value}"
    assert service["command"] == [
        "serve",
        "--length",
        required,
        "--loud=${LOUD-true}",
        "$$PORT",
    ]
    assert service["environment"] == {
        "LENGTH": required,
        "LOUD": "${LOUD-true}",
        "X": "1",
    }
    assert service["ports"] == ["127.0.0.1:${PORT-8000}:8000"]
    assert service["logging"]["options"] == {"max-size": "${LOG-50m}"}
    assert service["scale"] == "${COPIES-1}"


def test_a_secret_is_a_file_of_the_host_and_its_service_changes_with_it(parse):
    text = rendered(parse(WHOLE))

    value = yaml.safe_load(text)
    place = "${SEALIFT_SECRETS?is set by the installer}/api-key"
    assert value["secrets"] == {"api-key": {"file": place}}
    assert value["services"]["llm"]["labels"] == [
        "a=b",
        "sealift.secrets=${SEALIFT_SECRETS_STAMP-}",
    ]


@pytest.mark.skipif(not shutil.which(COMPOSE), reason="docker-compose is not here")
def test_the_file_of_the_host_is_whole_by_itself_for_docker_compose(parse, tmp_path):
    (tmp_path / "rendered.yaml").write_text(rendered(parse(WHOLE)))

    def config(**variables):
        return subprocess.run(
            [COMPOSE, "-f", tmp_path / "rendered.yaml", "config"],
            env={"PATH": "/usr/bin", "SEALIFT_SECRETS": "/s", **variables},
            capture_output=True,
            text=True,
        )

    missing = config()
    assert missing.returncode != 0
    assert "is a setting of this site without a value" in missing.stderr

    done = config(CONTEXT_LENGTH="4096", PORT="9000", GPUS="0,1", LOG="")
    (service,) = yaml.safe_load(done.stdout)["services"].values()
    assert "9000" in json.dumps(service["ports"])
    assert "9000" in json.dumps(service["ports"])
    assert service["scale"] == 1
    assert service["environment"]["LENGTH"] == "4096"
    # A text may be empty: the default does not come back.
    assert service["logging"]["options"]["max-size"] == ""


@pytest.mark.parametrize(
    ("variable", "settings", "fault"),
    [
        ("${PROT}", [PORT], "${PROT} has no value on the offline host"),
        ("${PROT}", [PORT], "is no setting; did you mean PORT? settings: PORT"),
        ("${X}", [], "declare it under `settings:` in the spec, give a default"),
        (
            "${PORT:-8001}",
            [PORT],
            "the default of PORT is '8001' here and '8000' in the spec",
        ),
        (
            "${CONTEXT_LENGTH:-1}",
            [LENGTH],
            "CONTEXT_LENGTH has a default here and none in the spec",
        ),
        ("${PORT:+x}", [PORT], "is not how a setting is written; write ${PORT}"),
        ("1", [PORT], "nothing uses the setting PORT of the spec"),
        ("$$PORT", [PORT], "nothing uses the setting PORT of the spec"),
    ],
)
def test_what_does_not_fit_its_setting_is_told(parse, variable, settings, fault):
    service = {"image": "app:1", "environment": {"A": variable}}

    told = faults(parse, {"llm": service}, *settings)

    assert any(fault in line for line in told), told


def test_a_setting_that_only_stands_in_an_extension_is_used_by_nothing(parse):
    told = faults(parse, {"llm": {"image": "app:1"}}, PORT, **{"x-a": "${PORT}"})

    assert [line.partition("): ")[2] for line in told] == [
        "nothing uses the setting PORT of the spec"
    ]


def test_the_count_of_gpus_is_no_place_for_a_setting(parse):
    devices = [{"driver": "nvidia", "count": "${COPIES}", "capabilities": ["gpu"]}]
    reserved = {"resources": {"reservations": {"devices": devices}}}

    (told,) = faults(parse, {"llm": {"image": "app:1", "deploy": reserved}}, COPIES)

    assert "docker-compose 1.29 takes no variable for the count of GPUs" in told
    assert "(line " in told


def test_faults_of_secrets_are_told_together(parse):
    services = {
        "llm": {"image": "app:1", "secrets": ["api-key", {"source": "tokn"}]},
        "web": {"image": "app:1", "secrets": ["own"]},
    }
    top = {"api-key": {"file": "/etc/key"}, "own": {"file": "own.txt"}}

    told = faults(parse, services, owned=(KEY, Secret("token")), secrets=top)

    assert [line.partition("): ")[2] for line in told] == [
        "no service uses the secret token of the spec",
        "'tokn' is no secret of the spec and none of this file",
        "is a secret of the spec; leave its settings out: the host has it",
        "a bundle is signed and not encrypted, so secrets do not travel; declare it "
        "under `secrets:` in the spec, or name a file that is on the host: file: "
        "/absolute/path",
    ]
