"""What a stack is read from: several files, `.env`, profiles, what is brought in."""

from __future__ import annotations

from pathlib import Path

import making
import pytest
import yaml
from sealift_bundler.compose import RenderedStack, render_stack
from sealift_bundler.composing.variables import Filling, read_env
from sealift_bundler.pack_stack import load_stack
from sealift_bundler.spec_load import load_spec
from sealift_manifests.errors import SourceContentError, SpecError

TOKEN = "hf_" + "aB3dE5gH7jK9mN1pQ3sT5vW7xY9zA1cD3e"
APP = "services: {app: {image: app%s}}"


def stack_of(folder: Path, files: dict[str, str], **spec: object):
    making.write_files(folder, files)
    stacks = [name for name in files if name.endswith(".yaml")]
    images = {"app": {"pull": "app:1"}, "idle": {"pull": "idle:1"}}
    path = making.a_spec(folder, "acme", **{"images": images, "stack": stacks, **spec})
    return load_stack(load_spec(path))


def rendered(stack) -> RenderedStack:
    return render_stack(stack, "acme 1", {"app": "app:1-ab", "idle": "idle:1-ab"}, {})


def service(stack, name: str = "app"):
    return yaml.safe_load(rendered(stack).compose)["services"][name]


def test_a_secret_that_env_would_bring_in_stops_the_build_and_is_not_shown(tmp_path):
    files = {
        "compose.yaml": APP % ", environment: {HF_TOKEN: $HF_TOKEN}",
        ".env": f"HF_TOKEN={TOKEN}\n",
    }

    with pytest.raises(SourceContentError) as caught:
        stack_of(tmp_path, files)

    assert ".env" in caught.value.message
    assert TOKEN not in caught.value.message


def test_a_secret_in_env_that_nothing_uses_stays_where_it_is(tmp_path):
    files = {"compose.yaml": APP % "", ".env": f"HF_TOKEN={TOKEN}\n"}

    stack = stack_of(tmp_path, files)

    assert rendered(stack).files == {}


def test_the_environment_of_who_builds_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("LEVEL", "mine")
    text = APP % ", environment: {LEVEL: '${LEVEL:-plain}'}"

    assert service(stack_of(tmp_path, {"compose.yaml": text}))["environment"] == {
        "LEVEL": "plain"
    }


def test_a_fault_is_told_with_the_file_that_it_is_in(tmp_path):
    files = {
        "compose.yaml": APP % "",
        "compose.gpu.yaml": "# more\nservices:\n  app:\n    gpus: all\n",
    }

    with pytest.raises(SpecError) as caught:
        stack_of(tmp_path, files)

    assert "services.app.gpus (compose.gpu.yaml line 4)" in caught.value.message


def test_two_files_of_one_name_are_refused(tmp_path):
    making.write_files(tmp_path, {"other/compose.yaml": APP % ""})
    files = {"compose.yaml": APP % ""}

    with pytest.raises(SpecError, match="have one name"):
        stack_of(tmp_path, files, stack=["compose.yaml", "other/compose.yaml"])


def test_a_stack_file_that_is_not_there_is_told_by_the_spec(tmp_path):
    with pytest.raises(SpecError, match=r"more\.yaml does not exist"):
        stack_of(tmp_path, {"c.yaml": APP % ""}, stack=["c.yaml", "more.yaml"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("include: [compose.yaml]\n" + APP % "", "brings itself in"),
        (APP % ", extends: app", "extends itself"),
        (APP % ", extends: {file: none.yaml}", r"none\.yaml does not exist"),
        (APP % ", extends: {file: compose.yaml, service: x}", "'x' is no service"),
        ("include: [{path: a, env_file: b}]\n" + APP % "", "only `path` is followed"),
    ],
)
def test_what_cannot_be_brought_in_is_told(tmp_path, text, said):
    with pytest.raises(SpecError, match=said):
        stack_of(tmp_path, {"compose.yaml": text})


def test_images_of_profiles_that_are_not_taken_stay_behind(tmp_path):
    text = """services:
      app: {image: app}
      debug: {image: idle, profiles: [debug]}"""

    without = stack_of(tmp_path / "a", {"compose.yaml": text})
    taken = stack_of(tmp_path / "b", {"compose.yaml": text}, profiles=["debug"])

    assert without.idle == {"idle"}
    assert taken.idle == frozenset()
    assert "profiles" not in service(taken, "debug")


def test_an_image_that_no_service_names_at_all_is_carried(tmp_path):
    assert stack_of(tmp_path, {"compose.yaml": APP % ""}).idle == frozenset()


def test_profiles_without_a_stack_are_refused(tmp_path):
    spec = making.weights_spec(tmp_path, "acme", profiles=["gpu"])

    with pytest.raises(SpecError, match="profiles go with a stack"):
        load_spec(spec)


def test_what_must_have_a_value_and_has_none_is_refused(tmp_path):
    text = APP % ", command: ['$${NO:?x}', '${YES:?say it}']"

    with pytest.raises(SpecError) as caught:
        stack_of(tmp_path, {"compose.yaml": text})

    line = "services.app.command[1]: ${YES} must have a value: say it"
    assert caught.value.message.splitlines()[1:] == [f"  {line}"]


def test_env_is_read_as_compose_reads_it():
    text = """
# a remark
PLAIN=a b   # and a remark
export EXPORTED = x
SINGLE='a # b $c'
DOUBLE="two\\nlines"
EMPTY=
HASH=a#b
not a line
"""

    assert read_env(text) == {
        "PLAIN": "a b",
        "EXPORTED": "x",
        "SINGLE": "a # b $c",
        "DOUBLE": "two\nlines",
        "EMPTY": "",
        "HASH": "a#b",
    }


def test_a_value_of_env_may_use_those_above_it_where_quotes_let_it():
    text = """
BASE=/srv
PLAIN=${BASE}/data # below
DOUBLE="$BASE/\\"q\\" \\$BASE"
SINGLE='${BASE}/s'
DEFAULT=${NONE:-${PLAIN}}
DOLLARS=5$ a$$b
BASE=/other${BASE}
"""

    assert read_env(text) == {
        "BASE": "/other/srv",
        "PLAIN": "/srv/data",
        "DOUBLE": '/srv/"q" $BASE',
        "SINGLE": "${BASE}/s",
        "DEFAULT": "/srv/data",
        "DOLLARS": "5$ a$b",
    }


@pytest.mark.parametrize("value", ["${LATER}/x", "$HOME/x", '"$HOME"', "${PORT}"])
def test_a_value_of_env_that_uses_what_is_not_there_is_refused(value):
    text = f"PORT=1\nA={value}\nLATER=1\n"

    with pytest.raises(SpecError) as caught:
        read_env(text, {"PORT"})

    assert ".env:2: A uses $" in caught.value.message


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("$A-${A}", "1-1"),
        ("${NO-d} ${NO:-d} ${EMPTY-d} ${EMPTY:-d}", "d d  d"),
        ("${A:+x}${EMPTY:+x}${EMPTY+y}${NO+z}", "xy"),
        ("${NO:-${A}}", "1"),
        ("${NO:-a}b}", "ab}"),
        ("$$A $${A}", "$$A $${A}"),
        ("5$ $1 $(date)", "5$$ $$1 $$(date)"),
        ("${DOLLAR}", "a$$b"),
        ("${NO}$NO${NO:?x}", "${NO}$NO${NO:?x}"),
        ("${OPEN} ${OPEN:-x} $OPEN", "${OPEN} ${OPEN:-x} $OPEN"),
        ("${A", "${A"),
    ],
)
def test_variables_are_filled_in_as_compose_does(text, filled):
    given = {"A": "1", "EMPTY": "", "DOLLAR": "a$b", "OPEN": "never"}

    assert Filling(given, {"OPEN"}).fill(text) == filled
