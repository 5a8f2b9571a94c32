"""Smoke tests as a manifest carries them: what is written, read and refused."""

from __future__ import annotations

import copy

import pytest
import strangers_smoke
from sealift_manifests import model, strictjson
from sealift_manifests.errors import FormatVersionError, ManifestError
from sealift_manifests.model import dump_manifest, parse_manifest
from test_format_guards import a_manifest

TEST = {
    "name": "capital",
    "service": "web",
    "port": 8000,
    "path": "/v1/chat/completions",
    "method": "POST",
    "headers": [{"name": "Content-Type", "value": "application/json"}],
    "body": '{"model":"chat"}',
    "expect": {
        "contains": ["Paris"],
        "json": [{"path": "choices.0.text", "rule": "type", "value": "text"}],
    },
    "within": 30,
}


def with_tests(*tests: object) -> dict[str, object]:
    value = a_manifest()
    value["stack"]["smoke"] = list(tests)
    value["features"] = ["smoke"]
    return value


def test_smoke_tests_are_read_back_as_they_were_written():
    data = strictjson.dump(with_tests(TEST))

    manifest = parse_manifest(data)

    assert dump_manifest(manifest) == data
    assert manifest.stack is not None
    assert manifest.stack.smoke[0].request == "POST web:8000/v1/chat/completions"


def test_a_manifest_without_them_has_neither_field_nor_feature():
    manifest = parse_manifest(strictjson.dump(a_manifest()))

    assert b"smoke" not in dump_manifest(manifest)


def test_a_reader_that_knows_none_says_that_another_is_needed(monkeypatch):
    monkeypatch.setattr(model, "KNOWN_FEATURES", ())

    with pytest.raises(FormatVersionError, match="smoke"):
        parse_manifest(strictjson.dump(with_tests(TEST)))


@pytest.mark.parametrize(
    "changes",
    [
        {"service": "other"},
        {"name": "Capital!"},
        {"port": 0},
        {"port": 65536},
        {"path": "v1"},
        {"path": "/a b"},
        {"method": "PUT"},
        {"method": "GET"},
        {"within": 0},
        {"within": 3601},
        {"headers": [{"name": "Host", "value": "a"}]},
        {"headers": [{"name": "A", "value": "a\r\nB: c"}]},
        {"headers": [{"name": "A", "value": "1"}, {"name": "a", "value": "2"}]},
        {"expect": {"status": 99}},
        {"expect": {"contains": [""]}},
        {"expect": {"json": [{"path": "a b", "rule": "type", "value": "text"}]}},
        {"expect": {"json": [{"path": "a", "rule": "type", "value": "string"}]}},
        {"expect": {"json": [{"path": "a", "rule": "is", "value": "{"}]}},
        {"expect": {"json": [{"path": "a", "rule": "matches", "value": "("}]}},
        {"expect": {"json": [{"path": "a", "rule": "like", "value": "x"}]}},
        {
            "expect": {
                "stream": True,
                "json": [{"path": "a", "rule": "is", "value": "1"}],
            }
        },
        {"retries": 3},
    ],
)
def test_what_breaks_a_rule_is_refused(changes):
    with pytest.raises(ManifestError):
        parse_manifest(strictjson.dump(with_tests({**TEST, **changes})))


@pytest.mark.parametrize(
    "value",
    [
        {**with_tests(TEST), "features": []},
        {**a_manifest(), "features": ["smoke"]},
        with_tests(TEST, TEST),
    ],
)
def test_the_feature_and_the_tests_go_together_for_us_and_a_stranger(value):
    with pytest.raises(ManifestError):
        parse_manifest(strictjson.dump(copy.deepcopy(value)))
    with pytest.raises(ValueError, match="smoke"):
        strangers_smoke.check_smoke(value)


def sending(*labels: str, known: tuple[str, ...] = ("api-key",)) -> dict[str, object]:
    """Return a manifest with secrets, and a smoke test that sends these."""
    value = "Bearer " + "".join(f"${{secret:{label}}}" for label in labels)
    test = {**TEST, "headers": [{"name": "Authorization", "value": value}]}
    made = with_tests(test)
    made["stack"]["secrets"] = [{"label": label} for label in known]
    made["features"] = ["settings", "smoke", "smoke-secrets"]
    return made


def test_a_smoke_test_names_the_secrets_it_sends_and_is_filled_with_them():
    value = sending("api-key")

    strangers_smoke.check_smoke(value)
    manifest = parse_manifest(strictjson.dump(value))

    assert manifest.stack is not None
    (test,) = manifest.stack.smoke
    assert test.secrets == ("api-key",)
    assert test.headers[0].filled({"api-key": r"a\1$"}) == r"Bearer a\1$"


@pytest.mark.parametrize(
    "value", [sending(), sending("other"), sending("api-key", "other")]
)
def test_secrets_that_are_not_there_are_refused_by_us_and_a_stranger(value):
    with pytest.raises(ManifestError, match="secret"):
        parse_manifest(strictjson.dump(copy.deepcopy(value)))
    with pytest.raises(ValueError, match="a secret of a smoke test"):
        strangers_smoke.check_smoke(value)


def test_without_the_feature_the_words_are_only_words():
    value = {**sending("other"), "features": ["settings", "smoke"]}

    strangers_smoke.check_smoke(value)
    parse_manifest(strictjson.dump(value))


def with_pattern(pattern: str) -> dict[str, object]:
    rule = {"path": "a", "rule": "matches", "value": pattern}
    return with_tests({**TEST, "expect": {"json": [rule]}})


@pytest.mark.parametrize(
    "pattern", ["[0-9]++", "a{2}+", "(?>a|b)", r"Paris\z", "a(?i)b", "(?=a)", "(?i)a*+"]
)
def test_a_pattern_that_not_every_python_reads_is_refused_by_us_and_a_stranger(pattern):
    value = with_pattern(pattern)

    with pytest.raises(ManifestError, match="the pattern"):
        parse_manifest(strictjson.dump(value))
    with pytest.raises(ValueError, match="pattern"):
        strangers_smoke.check_smoke(value)


@pytest.mark.parametrize(
    "pattern", ["(?i)paris", r"^It is \w+\.\Z", "(?:a|b)+", "(?i)(?:a)?"]
)
def test_a_pattern_that_every_python_reads_is_taken(pattern):
    value = with_pattern(pattern)

    strangers_smoke.check_smoke(value)
    manifest = parse_manifest(strictjson.dump(value))

    assert manifest.stack is not None
    assert manifest.stack.smoke[0].expect.json[0].value == pattern


def test_a_pattern_too_large_for_a_reader_is_refused():
    with pytest.raises(ManifestError, match="the pattern"):
        parse_manifest(strictjson.dump(with_pattern("a{99999999999999}")))


def test_a_stranger_takes_what_we_take():
    strangers_smoke.check_smoke(with_tests(TEST))
    strangers_smoke.check_smoke(a_manifest())
