"""The stack that the host runs, from the Compose file that the user wrote."""

import shutil
import subprocess

import pytest
import yaml
from sealift_bundler.compose import parse_stack, render_stack
from sealift_manifests.errors import SpecError
from sealift_manifests.stack_entries import Service

DIGEST = "sha256:" + "ab" * 32
REFERENCES = {
    "server": f"vllm/vllm-openai:v0.11.0@{DIGEST}",
    "web": "web:1.0",
    "ui": "ghcr.io/o/ui:0.6",
}
MODELS = ("chat", "embed")
LOADED = {key: f"docker.io/x/{key}:1-abcdefabcdef" for key in REFERENCES}
VOLUMES = {key: f"sealift-acme-{key}-abcdefabcdef" for key in MODELS}
COMPOSE = "/usr/bin/docker-compose"

WHOLE = """
version: "3.8"
name: acme
x-restart: &restart {restart: unless-stopped, labels: {build: "1e3", port: 010}}
services:
  llm:
    <<: *restart
    image: vllm/vllm-openai:v0.11.0
    command: [--model, /models, --port, "8000"]
    volumes:
      - chat:/models:ro
      - cache:/root/.cache
      - ./nginx.conf:/etc/nginx.conf
      - /etc/localtime:/etc/localtime:ro
    environment: {HF_HUB_OFFLINE: "1", WHEN: 2026-01-02, RATE: 1.10}
    deploy:
      resources:
        reservations:
          devices: [{driver: nvidia, count: all, capabilities: [gpu]}]
    healthcheck: {test: [CMD, "true"], interval: 5s, retries: 3}
  web:
    build: ./web
    ports: [22:22, "127.0.0.1:18080:8080"]
    env_file: web.env
    depends_on: {llm: {condition: service_healthy}}
    volumes:
      - {type: volume, source: embed, target: /e, read_only: true}
  ui:
    <<: *restart
    image: ghcr.io/o/ui:0.6
    pull_policy: always
volumes:
  chat: {external: true}
  cache:
networks:
  default: {driver: bridge}
"""


@pytest.fixture
def stack(tmp_path):
    """Parse a Compose file from its text, with the files it may refer to."""
    (tmp_path / "nginx.conf").write_text("events {}\n")
    for file in ("web.env", "WEB.env"):
        (tmp_path / file).write_text("A=1\n")
    (tmp_path / "data").mkdir()

    def parse(text):
        path = tmp_path / "stack.yml"
        path.write_text(text)
        return parse_stack(path, REFERENCES, MODELS)

    return parse


@pytest.fixture
def render(stack):
    def render(text):
        return render_stack(stack(text), "acme 1.0", LOADED, VOLUMES)

    return render


def services(rendered):
    return yaml.safe_load(rendered.compose)["services"]


def test_images_are_named_as_they_are_loaded_and_never_pulled(render):
    found = services(render(WHOLE))

    assert {name: service["image"] for name, service in found.items()} == {
        "llm": LOADED["server"],
        "web": LOADED["web"],
        "ui": LOADED["ui"],
    }
    assert {service["pull_policy"] for service in found.values()} == {"never"}
    assert not any("build" in service for service in found.values())


def test_models_become_external_read_only_volumes_that_nothing_is_copied_into(render):
    rendered = render(WHOLE)
    value = yaml.safe_load(rendered.compose)

    assert value["services"]["llm"]["volumes"][0] == {
        "type": "volume",
        "source": "chat",
        "target": "/models",
        "read_only": True,
        "volume": {"nocopy": True},
    }
    assert value["services"]["web"]["volumes"][0]["read_only"] is True
    assert value["volumes"] == {
        "cache": None,
        "chat": {"external": True, "name": VOLUMES["chat"]},
        "embed": {"external": True, "name": VOLUMES["embed"]},
    }


def test_data_becomes_an_external_volume_that_services_may_write_to(tmp_path):
    text = """
services:
  db:
    image: server
    volumes:
      - store:/data
      - {type: volume, source: store, target: /again, volume: {subpath: a}}
      - store:/read:ro
      - {type: volume, source: store, target: /too, read_only: true}
volumes:
  store: {external: true}
"""
    path = tmp_path / "stack.yml"
    path.write_text(text)
    stack = parse_stack(path, REFERENCES, MODELS, data=["store", "unused"])
    names = {**VOLUMES, "store": "sealift-data.acme.store", "unused": "x"}

    value = yaml.safe_load(render_stack(stack, "acme 1", LOADED, names).compose)

    mounts = value["services"]["db"]["volumes"]
    assert [mount.get("read_only", False) for mount in mounts] == [
        *(False, False, True, True)
    ]
    assert all(mount["volume"]["nocopy"] for mount in mounts)
    assert mounts[1]["volume"]["subpath"] == "a"
    assert value["volumes"] == {
        "store": {"external": True, "name": "sealift-data.acme.store"}
    }


def test_settings_of_a_volume_that_is_carried_are_a_fault(tmp_path):
    path = tmp_path / "stack.yml"
    path.write_text(
        "services: {db: {image: server, volumes: ['stroe:/data']}}\n"
        "volumes: {store: {driver: local}}\n"
    )

    with pytest.raises(SpecError) as caught:
        parse_stack(path, REFERENCES, MODELS, data=["store"])

    assert "is a volume of the spec; leave its settings out" in caught.value.message
    assert "did you mean store?" in caught.value.message


def test_services_say_which_image_and_models_they_use(render):
    assert render(WHOLE).services == (
        Service("llm", "server", ("chat",)),
        Service("ui", "ui", ()),
        Service("web", "web", ("embed",)),
    )


def test_small_files_go_along_read_only(render, tmp_path):
    rendered = render(WHOLE)

    assert rendered.files == {
        "nginx.conf": tmp_path / "nginx.conf",
        "web.env": tmp_path / "web.env",
    }
    found = services(rendered)
    assert found["llm"]["volumes"][2] == "./nginx.conf:/etc/nginx.conf:ro"
    assert found["web"]["env_file"] == ["web.env"]


def test_everything_else_stays_as_written(render):
    rendered = render(WHOLE)
    text, found = rendered.compose.decode(), services(rendered)

    assert 'build: "1e3"' in text
    assert "port: 010" in text
    assert "RATE: 1.10" in text
    assert found["web"]["ports"] == ["22:22", "127.0.0.1:18080:8080"]
    assert found["llm"]["environment"]["WHEN"] == "2026-01-02"
    assert found["llm"]["volumes"][1] == "cache:/root/.cache"
    assert list(found) == ["llm", "web", "ui"]
    assert list(found["llm"])[-1] == "healthcheck"


def test_names_versions_and_anchors_are_gone(render):
    text = render(WHOLE).compose.decode()

    assert text.startswith("# Generated by Sealift from stack.yml of acme 1.0.\n")
    assert list(yaml.safe_load(text)) == ["services", "volumes", "networks"]
    assert "&" not in text
    assert text.count("restart: unless-stopped") == 2


def test_rendering_twice_gives_the_same_bytes(render):
    assert render(WHOLE).compose == render(WHOLE).compose


@pytest.mark.parametrize(
    ("image", "key"),
    [
        ("server", "server"),
        ("vllm/vllm-openai:v0.11.0", "server"),
        ("docker.io/vllm/vllm-openai:v0.11.0", "server"),
        (f"vllm/vllm-openai:v0.11.0@{DIGEST}", "server"),
        ("docker.io/library/web:1.0", "web"),
    ],
)
def test_a_service_names_an_image_by_key_or_by_any_form_of_its_reference(
    stack, image, key
):
    assert stack(f"services: {{a: {{image: '{image}'}}}}").images == {"a": key}


def test_an_optional_env_file_that_is_not_there_is_left_out(render):
    text = """services: {a: {image: web, env_file: [
        data/../web.env, {path: no.env, required: false}]}}"""

    assert services(render(text))["a"]["env_file"] == ["web.env"]


A = "services: {a: {image: web, %s}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no services"),
        ("services: {a: x}", "must be a mapping"),
        ("services: {a: {command: x}}", "has no image"),
        ("services: {a: {image: redis:7}}", "allowed: server (vllm/vllm-openai"),
        ("services: {a: {image: 'web:1.0@" + DIGEST + "'}}", "must be one of"),
        ("services: {a: {image: 'web:${T:-2.0}'}}", "write `image: web`"),
        ("services: {a: {image: redis}}", 'images: {a: {pull: "redis:TAG"}}'),
        ("services: {other: {build: .}}", "images.other.build"),
        (A % "volumes: [chta:/m]", "did you mean chat?"),
        (A % "volumes: [chat:/m:rw]", "leave out rw"),
        (
            A % "volumes: [{type: volume, source: chat, target: /m, read_only: false}]",
            "leave out rw",
        ),
        (A % "volumes: [./data:/d]", "is a directory"),
        (A % "volumes: [./none:/d]", "does not exist"),
        (A % "volumes: [../x:/d]", "below the Compose file"),
        (A % "volumes: [./nginx.conf:/d:rw]", "leave out rw"),
        (A % "volumes: [{source: chat}]", "mapping with a target"),
        (A % "env_file: no.env", "does not exist"),
        (A % "env_file: [web.env, WEB.env]", "one name on some file systems"),
        (A % "env_file: /etc/passwd", "below the Compose file"),
        (A % "healthchek: {test: x}", "did you mean healthcheck?"),
        (A % "healthcheck: {test: x, intervall: 3s}", "did you mean interval?"),
        (A % "extends: {service: b}", "'b' is no service"),
        (A % "network_mode: 'service:b'", "'b' is no service"),
        (A % "gpus: all", "capabilities: [gpu]"),
        (A % "environment: {T: $HF_TOKEN}", "${HF_TOKEN} has no value"),
        (A % "environment: {T: '${HF_TOKEN}'}", "${HF_TOKEN} has no value"),
        ("configs: {c: {file: ./nginx.conf}}\n" + A % "tty: true", "mount the file"),
        ("secrets: {s: {file: ./web.env}}\n" + A % "tty: true", "not encrypted"),
        ("include: [b.yaml]\n" + A % "tty: true", "b.yaml does not exist"),
        ("volumes: {chat: [{}]}\n" + A % "tty: true", "leave its settings"),
        ("volumes: {chat: {driver: local}}\n" + A % "tty: true", "leave its settings"),
        (A % "tty: true, tty: false", "is given again"),
        (A % "depends_on: [db]", "'db' is no service of this file"),
        (A % "depends_on: {db: {condition: x}}", "'db' is no service of this file"),
    ],
)
def test_what_would_fail_on_the_host_is_told_here(stack, text, said):
    with pytest.raises(SpecError) as caught:
        stack(text)

    assert said in caught.value.message


@pytest.mark.parametrize(
    "settings",
    [
        "environment: {T: '${A:-b}', U: '${A:?say it}', V: 'a$$b'}",
        "volumes: ['${DATA:-/srv}:/d', /anonymous]",
        "secrets: [s]",
        "x-healthchek: {test: x}",
        "some_key_of_tomorrow: 1",
    ],
)
def test_what_the_host_can_provide_is_let_through(stack, settings):
    stack("secrets: {s: {file: /etc/token}}\n" + A % settings)


def test_all_faults_are_told_at_once_with_their_lines(stack):
    with pytest.raises(SpecError) as caught:
        stack("services:\n  a: {image: redis}\n  b: {image: web, gpus: all}\n")

    assert "services.a.image (line 2)" in caught.value.message
    assert "services.b.gpus (line 3)" in caught.value.message


@pytest.mark.skipif(not shutil.which(COMPOSE), reason="needs docker-compose 1.29")
def test_docker_compose_1_29_accepts_the_rendered_file(render, tmp_path):
    rendered = render(WHOLE)
    (tmp_path / "compose.yaml").write_bytes(rendered.compose)

    run = subprocess.run(
        [COMPOSE, "--file", "compose.yaml", "config", "--quiet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert (run.returncode, run.stderr) == (0, "")
