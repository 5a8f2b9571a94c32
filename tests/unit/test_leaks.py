"""Secrets are found by their form and by their value, told by place, never shown.

The tokens here are made when the tests run: the source must not look like a leak.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from image_insides import a_tar
from making import noise
from sealift_bundler.insides.layers import LayerView, LayerWatch
from sealift_bundler.leaks.check import check_image, check_model, check_stack
from sealift_bundler.leaks.rules import leaks_in
from sealift_bundler.models.files import ModelFile
from sealift_manifests.errors import SourceContentError

LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def random_text(length: int, letters: str = LETTERS) -> str:
    """Return text that looks random, the same every time."""
    return "".join(letters[n % len(letters)] for n in noise("token", length))


UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
TOKENS = {
    "hugging-face-token": "hf" + "_" + random_text(34),
    "aws-access-key": "AK" + "IA" + random_text(16, UPPER),
    "github-token": "gh" + "p_" + random_text(36),
    "gitlab-token": "gl" + "pat-" + random_text(20),
    "openai-key": "sk" + "-proj-" + random_text(48),
    "nvidia-key": "nv" + "api-" + random_text(64),
    "slack-token": "xo" + "xb-" + random_text(40),
    "google-key": "AI" + "za" + random_text(35),
}


def rules(path: str, text: str | bytes, **known: tuple[bytes, ...]) -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    return [leak.rule for leak in sorted(leaks_in(path, data, known))]


@pytest.mark.parametrize("rule", TOKENS)
def test_a_token_is_found_wherever_it_stands_and_its_line_is_told(rule):
    for before, after in (("", ""), ("KEY=", "\n"), ('"', '"'), ("a\nb: ", " c")):
        (leak,) = leaks_in("app/.env", f"{before}{TOKENS[rule]}{after}".encode())

        assert (leak.rule, leak.line) == (rule, before.count("\n") + 1)
        assert TOKENS[rule] not in str(leak)


@pytest.mark.parametrize(
    "text",
    [
        "hf_" + "x" * 34,
        "hf_" + "your_token_here_please_fill_in",
        "self_" + TOKENS["hugging-face-token"],
        "AKIA" + "IOSFODNN7EXAMPLE",
        "task-" + random_text(48),
        "ghp_" + "0" * 40,
        "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
    ],
)
def test_placeholders_and_look_alikes_are_not_taken_for_secrets(text):
    assert rules("README.md", text) == []


@pytest.fixture(scope="module", params=["ed25519", "rsa", "ecdsa"])
def private_key(request, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("keys") / "id"
    made = ["ssh-keygen", "-q", "-t", request.param, "-N", "", "-f", str(path)]
    subprocess.run([*made, "-m", "PEM"], check=True)
    return path.read_bytes()


def test_a_private_key_is_found_but_not_where_specimens_are_kept(private_key):
    assert rules("root/.ssh/id", private_key) == ["private-key"]
    assert rules("app/config.yaml", b"key: |\n" + private_key) == ["private-key"]
    for folder in ("usr/lib/python3/test", "usr/share/doc/openssl", "a/test_data"):
        assert rules(f"{folder}/key.pem", private_key) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("root/.netrc", "machine h login me password hunter2"),
        (".git-credentials", "https://me:hunter2@git.example"),
        ("root/.docker/config.json", '{"auths": {"r": {"auth": "bWU6aHVudGVyMg=="}}}'),
        ("root/.cache/huggingface/token", "anything"),
        ("app/.npmrc", "//registry.example/:_authToken=hunter2"),
        ("etc/pip.conf", "index-url = https://me:hunter2@pypi.example/simple"),
    ],
)
def test_files_that_hold_logins_are_known_by_name_and_content(path, text):
    assert rules(path, text) == ["login"]
    assert rules(path, "\n") == []


def test_the_value_of_a_build_secret_is_found_in_any_file():
    value = b"just a plain password"

    found = rules("a/b", b"x" + value, token=(value, base64.b64encode(value)))

    assert found == ["the build's secret token"]


# Images


def viewed(files: Mapping[str, bytes], **known: tuple[bytes, ...]) -> LayerView:
    watch = LayerWatch(known)
    tar = a_tar(files)
    for start in range(0, len(tar), 700):
        watch.feed(tar[start : start + 700])
    return watch.view()


def config(**inner: object) -> bytes:
    return json.dumps({"config": inner, "history": [{"created_by": "RUN a"}]}).encode()


def test_a_secret_stays_in_its_layer_when_a_later_one_removes_the_file():
    token = TOKENS["hugging-face-token"]
    views = [
        viewed({"app/ok": b"fine", "app/.env": f"A=1\nT={token}".encode()}),
        viewed({"app/.wh..env": b""}),
    ]

    with pytest.raises(SourceContentError) as caught:
        check_image("web", config(), views, ())

    message = caught.value.message
    assert "layer 1: app/.env, line 2: hugging-face-token" in message
    assert token not in message + caught.value.hint


def test_environment_labels_and_history_are_looked_into():
    token = TOKENS["github-token"]
    inner = {"Env": ["A=b", f"T={token}"], "Labels": {"l": token}}
    document = json.loads(config(**inner))
    document["history"][0]["created_by"] = f"ARG T={token}"

    with pytest.raises(SourceContentError) as caught:
        check_image("web", json.dumps(document).encode(), (), ())

    places = ("config.config.Env.2", "config.config.Labels.l", "history.1.created_by")
    assert all(place in caught.value.message for place in places)
    assert token not in caught.value.message


def test_a_file_that_people_looked_at_is_let_through_by_its_pattern():
    views = [viewed({"srv/a/sample.env": TOKENS["slack-token"].encode()})]

    check_image("web", config(), views, ("srv/*/sample.env",))
    with pytest.raises(SourceContentError):
        check_image("web", config(), views, ("srv/other",))


def test_binary_and_large_files_are_let_go():
    token = TOKENS["hugging-face-token"].encode()
    large = token + b"\n" * (1 << 20)

    assert viewed({"a.bin": b"\0" + token, "large.txt": large}).leaks == ()


# Models and stacks


def test_a_model_with_a_token_in_a_small_file_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text(f"use {TOKENS['hugging-face-token']}")
    files = [ModelFile.at("notes.txt", tmp_path / "notes.txt")]

    with pytest.raises(SourceContentError, match=r"notes\.txt, line 1"):
        check_model("chat", files, ())
    check_model("chat", files, ("notes.txt",))


def test_a_stack_with_a_token_is_refused_and_knows_no_exception():
    files = {"compose.yaml": f"x: {TOKENS['nvidia-key']}".encode()}

    with pytest.raises(SourceContentError, match=r"compose\.yaml, line 1") as caught:
        check_stack(files)

    assert "not_secret" not in caught.value.hint
