"""The bundle spec: what it accepts, and that it says all that is wrong at once."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import safetensors
import sealift_bundler
from sealift_bundler.init_template import init_files, platform_of, static_busybox
from sealift_bundler.pack_stack import load_stack
from sealift_bundler.spec import schema_bytes
from sealift_bundler.spec_load import load_spec
from sealift_manifests.errors import (
    SourceContentError,
    SpecError,
    UnpinnedSpecError,
    UsageError,
)

DIGEST = "sha256:" + "ab" * 32
HEAD = "sealift: 1\nname: acme-chat\nversion: 2026.11.1\n"


@pytest.fixture
def load(tmp_path):
    """Load a spec from its text, in a directory that has what specs refer to."""
    for folder in ("web", "tiny"):
        (tmp_path / folder).mkdir()
    for file in ("web/Dockerfile", "compose.yaml", "token"):
        (tmp_path / file).write_text("")

    def load(text):
        path = tmp_path / "sealift.yaml"
        path.write_text(text)
        return load_spec(path)

    return load


def faults(load, text, kind=SpecError):
    with pytest.raises(kind) as caught:
        load(text)
    return [line.strip() for line in caught.value.message.splitlines()[1:]]


def test_a_whole_spec_is_read_with_its_paths_resolved(load, tmp_path):
    spec = load(
        HEAD
        + f"""
platform: linux/arm64
serial: 7
models:
  chat: {{huggingface: org/model, revision: v1.0, layout: hf-cache,
         ignore: ["original/*"], allow: [code]}}
  tiny: {{path: ./tiny}}
images:
  server: {{pull: "registry.example/vllm:v0.11.0@{DIGEST}"}}
  web:
    build: {{context: web, args: {{DEBUG: true, N: 010}}, secrets: {{t: token}}}}
  ui: {{engine: "open-webui:0.6"}}
stack: compose.yaml
"""
    )

    assert spec.models["chat"].revision == "v1.0"
    assert spec.models["chat"].ignore == ("original/*",)
    assert spec.models["tiny"].path == tmp_path / "tiny"
    assert spec.images["web"].build.args == {"DEBUG": "true", "N": "010"}
    assert spec.images["web"].build.secrets == {"t": tmp_path / "token"}
    assert spec.stack == (tmp_path / "compose.yaml",)
    assert spec.references() == {
        "server": f"registry.example/vllm:v0.11.0@{DIGEST}",
        "web": "acme-chat-web:2026.11.1",
        "ui": "open-webui:0.6",
    }
    assert [image.kind for image in spec.images.values()] == ["pull", "build", "engine"]


@pytest.mark.parametrize("version", ["2026.10", "1", "1.10", "2026-11-01", "0x10"])
def test_a_version_is_taken_as_it_is_written(load, version):
    spec = load(
        f"sealift: 1\nname: a\nversion: {version}\nmodels: {{m: {{path: tiny}}}}\n"
    )

    assert spec.version == version


def test_the_serial_is_the_time_of_creation_unless_it_is_given(load):
    created = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
    text = HEAD + "models: {m: {path: tiny}}\n"

    assert load(text).serial_at(created) == 20261123040506
    assert load(text + "serial: 7\n").serial_at(created) == 7


def test_a_secret_in_the_home_directory_is_found(load, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    spec = load(HEAD + "images: {w: {build: {context: web, secrets: {t: ~/token}}}}\n")

    assert spec.images["w"].build.secrets["t"] == tmp_path / "token"


EVERYTHING_WRONG = """\
sealift: 2
name: Acme Chat
version: 1
platfrom: linux/amd64
models:
  chat:
    huggingface: org/model
    layout: cache
  both: {huggingface: a/b, revision: x, path: nowhere}
  bare: {}
images:
  srv: {pull: "Not Valid"}
  loose: {pull: "a/b"}
  web: {build: {context: web, dockerfile: Other, secrets: {t: gone}}, engine: x}
stack: none.yaml
"""


def test_everything_wrong_is_said_at_once_with_its_line(load):
    told = faults(load, EVERYTHING_WRONG)

    assert [line.split(":")[0] for line in told] == [
        "sealift (line 1)",
        "name (line 2)",
        "platfrom (line 4)",
        "models.chat (line 6)",
        "models.chat.layout (line 8)",
        "models.both (line 9)",
        "models.both.path (line 9)",
        "models.bare (line 10)",
        "images.srv.pull (line 12)",
        "images.loose.pull (line 13)",
        "images.web (line 14)",
        "images.web.build.dockerfile (line 14)",
        "images.web.build.secrets.t (line 14)",
        "stack (line 15)",
    ]
    assert told[3].endswith(
        "revision is missing; give a tag or, best, a 40-digit commit"
    )
    assert told[4].endswith("'cache' is unknown; allowed: flat, hf-cache")


@pytest.mark.parametrize(
    ("line", "guess"),
    [
        ("models: {m: {path: tiny, ingore: [x]}}", "did you mean ignore?"),
        ("models: {m: {path: tiny, allow_patterns: [x]}}", "did you mean include?"),
        ("images: {m: {pul: a:1}}", "did you mean pull?"),
        ("images: {m: {build: {contxt: web}}}", "did you mean context?"),
        ("stacks: compose.yaml", "did you mean stack?"),
    ],
)
def test_an_unknown_key_names_the_nearest_one(load, line, guess):
    assert any(guess in told for told in faults(load, HEAD + line + "\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: b\n", "name (line 2): is given again on line 4"),
        ("models: [a]\n", "models (line 4): must be a mapping"),
        ("models: {m: tiny}\n", "must be a mapping; keys: huggingface, revision"),
        ("models: {M: {path: tiny}}\n", "'M' is not a name"),
        ("models: {m: {path: tiny, ignore: x}}\n", "must be a list"),
        ("models: {m: {path: tiny, layout: hf-cache}}\n", "use flat"),
        ("models: {m: {path: token}}\n", "is not a directory"),
        (f"models: {{m: {{path: {'a' * 300}}}}}\n", "does not exist"),
        ("images: {a: {pull: x:1}, b: {engine: docker.io/library/x:1}}\n", "images.a"),
        ("images: {a: {pull: x:1, tag: y:1}}\n", "tag goes with build only"),
        ("serial: 1.5\nmodels: {m: {path: tiny}}\n", "serial (line 4)"),
        ("stack: compose.yaml\nmodels: {m: {path: tiny}}\n", "a stack needs images"),
        ("", "there is nothing to carry"),
    ],
)
def test_a_fault_is_told(load, text, said):
    assert any(said in told for told in faults(load, HEAD + text))


@pytest.mark.parametrize("text", ["", "just text\n", "- a\n", "a: [\n", "a: \x01\n"])
def test_what_is_no_spec_at_all_is_a_spec_error(load, text):
    with pytest.raises(SpecError):
        load(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]\n",
        "a0: &a0 [x]\n"
        + "".join(f"a{n + 1}: &a{n + 1} [{f'*a{n}, ' * 9}]\n" for n in range(9)),
    ],
)
def test_aliases_cannot_make_a_spec_endless(load, text):
    assert any("an alias repeats itself" in told for told in faults(load, text))


def test_a_missing_spec_is_a_spec_error(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path / "sealift.yaml")


def test_all_unpinned_images_are_told_at_once(load):
    told = faults(
        load,
        HEAD
        + f"""images:
  a: {{pull: vllm/vllm-openai}}
  b: {{pull: "x:latest"}}
  c: {{pull: "y:latest@{DIGEST}"}}
  d: {{pull: "z:1"}}
""",
        UnpinnedSpecError,
    )

    assert [line.split(":")[0] for line in told] == [
        "images.a.pull (line 5)",
        "images.b.pull (line 6)",
    ]


def test_the_shipped_schema_is_the_one_the_code_makes():
    shipped = Path(sealift_bundler.__file__).with_name("spec_schema.json")

    assert shipped.read_bytes() == schema_bytes()


@pytest.mark.parametrize("with_image", [True, False])
def test_a_new_spec_is_valid(tmp_path, with_image):
    for name, data in init_files("hello", with_image=with_image).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)

    spec = load_spec(tmp_path / "sealift.yaml")

    first_line = (tmp_path / "sealift.yaml").read_text().splitlines()[0]
    schema = first_line.split("=")[1]
    assert first_line.startswith("# yaml-language-server: $schema=")
    assert (tmp_path / schema).read_bytes() == schema_bytes()
    assert spec.name == "hello"
    assert bool(spec.images) == with_image


def test_the_first_weights_are_a_valid_safetensors_file():
    tensors = list(
        safetensors.deserialize(init_files("a")["models/tiny/model.safetensors"])
    )

    assert {name: tensor["shape"] for name, tensor in tensors} == {
        "lm_head.weight": [64, 32],
        "model.embed_tokens.weight": [64, 32],
        "model.norm.weight": [32],
    }
    assert init_files("a") == init_files("a")


def test_only_a_static_program_can_run_in_an_empty_image():
    dynamic = Path(sys.executable).resolve().read_bytes()

    assert platform_of(static_busybox()) in ("linux/amd64", "linux/arm64")
    assert platform_of(dynamic) == ""
    assert platform_of(b"#!/bin/sh\n") == ""


def test_a_bundle_needs_a_proper_name():
    with pytest.raises(UsageError, match="'My Bundle'"):
        init_files("My Bundle")


SITE = """
images: {web: {engine: "web:1"}}
stack: compose.yaml
settings:
  PORT: {type: port, default: 8000, help: The port
    of the page.}
  SHARE: {type: number, default: 0.90, min: 0.1, max: 1}
  LOUD: {type: boolean, default: No}
secrets:
  api-key: {generate: 32}
  token:
"""


def test_settings_and_secrets_are_taken_as_they_are_written(load):
    site = load(HEAD + SITE).open_to_sites()

    port, share, loud = site.settings
    assert (port.default, port.help) == ("8000", "The port of the page.")
    assert (share.default, share.min, share.max) == ("0.90", "0.1", "1")
    assert loud.default == "false"
    assert [(each.label, each.generate) for each in site.secrets] == [
        ("api-key", 32),
        ("token", None),
    ]


def test_faults_of_settings_are_told_with_their_lines(load):
    text = SITE.replace("default: 8000", "default: 80000").replace("max: 1", "max: 0")
    text = text.replace("LOUD:", "PATH:").replace("token:", "Token: {generate: 3}")

    told = faults(load, HEAD + text + "  old: {lenght: 3}\n")

    assert [line.partition(": ")[0] for line in told] == [
        "settings.PORT (line 8)",
        "settings.SHARE (line 10)",
        "settings.PATH (line 11)",
        "secrets.Token (line 14)",
        "secrets.Token.generate (line 14)",
        "secrets.old.lenght (line 15)",
    ]
    assert "default must be a port from 1 up to 65535" in told[0]
    assert "max is less than min" in told[1]
    assert "means something to Compose" in told[2]


def test_a_setting_that_only_the_host_gives_does_not_stop_a_build(load, tmp_path):
    service = {"image": "web", "environment": {"A": "${A}", "B": "${B:?}"}}
    (tmp_path / "compose.yaml").write_text(json.dumps({"services": {"web": service}}))
    text = SITE[: SITE.index("settings:")] + "settings:\n  A: {type: text}\n"

    stack = load_stack(load(f"{HEAD}{text}  B: {{type: text}}\n"))

    assert [setting.name for setting in stack.site.settings] == ["A", "B"]


def test_settings_without_a_stack_are_refused(load):
    text = SITE.replace("stack: compose.yaml", "")

    assert faults(load, HEAD + text) == [
        "sealift.yaml (line 1): settings go with a stack",
        "sealift.yaml (line 1): secrets go with a stack",
    ]


def test_a_token_as_the_default_of_a_setting_is_found(load, tmp_path):
    token = "gh" + "p_" + "k3JwQz81LmXv7RtYb2NcPd5Hf9Gs4AeUo6Tn"
    compose = {"services": {"web": {"image": "web", "environment": {"T": "${T}"}}}}
    (tmp_path / "compose.yaml").write_text(json.dumps(compose))
    text = SITE[: SITE.index("settings:")]

    spec = load(HEAD + text + f"settings:\n  T: {{type: text, default: {token}}}\n")

    with pytest.raises(SourceContentError, match=r"settings\.T") as caught:
        load_stack(spec)
    assert token not in caught.value.message
