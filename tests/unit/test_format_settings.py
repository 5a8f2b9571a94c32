"""Settings and secrets in a manifest: FORMAT.md says enough to judge them as we do."""

from __future__ import annotations

import json

import pytest
import strangers_settings as stranger
from sealift_manifests import records, strictjson
from sealift_manifests.errors import FormatVersionError, ManifestError
from sealift_manifests.model import check_version, parse_manifest
from sealift_manifests.settings import Setting

RUNAWAYS = (
    "([a-z0-9]+[._-]?)+",
    "(?:a|b*)*",
    "(a?){2,3}",
    "(a{1,2}){12}",
    "(a(?:b(c{,})))+",
    "(?:(?:a?){9}){9}",
    "([+)]x*)+?",
)
TAKEN = (
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "GODEBUG", "GoGC", "GOMAXPROCS", "GOMEMLIMIT"),
    *("GOTRACEBACK", "XDG_RUNTIME_DIR", "GLIBC_TUNABLES", "MALLOC_CHECK_"),
    *("GCONV_PATH", "HOSTALIASES", "LOCALDOMAIN", "RES_OPTIONS", "NLSPATH"),
    *("_MEIPASS2", "_PYI_ARCHIVE_FILE"),
)
PLAIN = (
    r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}",
    r"[0-9]+(?:\.(?:[0-9]+)?)?",
    r"[a-z]+(?:,[a-z]{3})*",
    r"\(a+\)+[(]b+[)]*",
    r"(?:[]+*]x)+",
)
GOOD_SETTINGS: list[dict[str, object]] = [
    {"name": "PORT", "type": "port", "default": "8000"},
    {"name": "N_1", "type": "integer", "min": "-5", "max": "5", "default": "-5"},
    {"name": "SHARE", "type": "number", "min": "0.1", "max": "1", "default": "0.90"},
    {"name": "NOTE", "type": "text", "default": "", "help": "f\u00fcr alle"},
    {"name": "SIZE", "type": "text", "pattern": "[0-9]+(?:k|m)", "default": "50m"},
    {"name": "LOUD", "type": "boolean", "default": "Yes"},
    {"name": "MODE", "type": "choice", "choices": ["a", "b c"], "default": "b c"},
    {"name": "DATA", "type": "path", "default": "/srv/..data"},
    {"name": "GPUS", "type": "gpus", "default": "0,GPU-1a-2b,MIG-3"},
    {"name": "GPUS", "type": "gpus", "default": "all"},
    {"name": "NONE", "type": "text"},
    {"name": "GOAL", "type": "text"},
    {"name": "XDGX", "type": "text"},
    *({"name": "LIKE", "type": "text", "pattern": each} for each in PLAIN),
]
BAD_SETTINGS: list[dict[str, object]] = [
    {"name": "1A", "type": "text"},
    {"name": "http_proxy", "type": "text"},
    {"name": "COMPOSE_FILE", "type": "text"},
    {"name": "A", "type": "float"},
    {"name": "A", "type": "port", "default": "65536"},
    {"name": "A", "type": "port", "default": "0"},
    {"name": "A", "type": "integer", "default": "08"},
    {"name": "A", "type": "integer", "min": "1.5"},
    {"name": "A", "type": "integer", "min": "2", "max": "1"},
    {"name": "A", "type": "integer", "min": "2", "default": "1"},
    {"name": "A", "type": "number", "max": "0.5", "default": "0.51"},
    {"name": "A", "type": "text", "min": "1"},
    {"name": "A", "type": "text", "default": "a\nb"},
    {"name": "A", "type": "text", "default": "${B}"},
    {"name": "A", "type": "text", "pattern": "a+", "default": "ab"},
    {"name": "A", "type": "text", "pattern": "(?i)a"},
    {"name": "A", "type": "text", "pattern": "a++"},
    {"name": "A", "type": "text", "pattern": r"a\z"},
    *({"name": "A", "type": "text", "pattern": each} for each in RUNAWAYS),
    *({"name": each, "type": "text"} for each in TAKEN),
    {"name": "A", "type": "integer", "pattern": "1"},
    {"name": "A", "type": "text", "help": "x" * 513},
    {"name": "A", "type": "boolean", "default": "1"},
    {"name": "A", "type": "choice"},
    {"name": "A", "type": "choice", "choices": ["a", "a"]},
    {"name": "A", "type": "choice", "choices": ["a"], "default": "b"},
    {"name": "A", "type": "text", "choices": ["a"]},
    {"name": "A", "type": "path", "default": "srv"},
    {"name": "A", "type": "path", "default": "/a/../b"},
    {"name": "A", "type": "path", "default": "/a:/b"},
    {"name": "A", "type": "gpus", "default": "0,0"},
    {"name": "A", "type": "gpus", "default": "0,"},
    {"name": "A", "type": "gpus", "default": "GPU 0"},
]


@pytest.mark.parametrize("value", GOOD_SETTINGS, ids=lambda each: each["name"])
def test_a_stranger_takes_the_settings_that_we_take(value):
    stranger.check_setting(value)

    assert records.decode(Setting, value, "setting").name == value["name"]


@pytest.mark.parametrize("value", BAD_SETTINGS, ids=json.dumps)
def test_a_stranger_refuses_the_settings_that_we_refuse(value):
    with pytest.raises(ValueError, match=r"."):
        stranger.check_setting(value)
    with pytest.raises(ManifestError):
        records.decode(Setting, value, "setting")


def a_manifest(**stack):
    image = {
        "name": "web",
        "reference": "docker.io/x/web:1-" + 12 * "a",
        "source": {"kind": "engine", "reference": "web:1"},
        "platform": "linux/amd64",
        "manifest": a_blob("a", "application/vnd.oci.image.manifest.v1+json"),
        "config": a_blob("b", "application/vnd.oci.image.config.v1+json"),
        "layers": [],
    }
    file = {"path": "compose.yaml", "size": 1, "digest": "sha256:" + 64 * "c"}
    return {
        "format": 1,
        "type": "sealift-bundle",
        "name": "acme",
        "version": "1",
        "serial": 1,
        "platform": "linux/amd64",
        "created": "2026-11-01T00:00:00Z",
        "builder": "sealift 0",
        "images": [image],
        "stack": {
            "compose": "compose.yaml",
            "files": [file],
            "services": [{"name": "web", "image": "web"}],
            **stack,
        },
    }


def a_blob(digit, media_type):
    return {"media_type": media_type, "digest": "sha256:" + 64 * digit, "size": 1}


SITE = {
    "settings": [{"name": "PORT", "type": "port", "default": "8000"}],
    "secrets": [{"label": "api-key", "generate": 32}, {"label": "token"}],
}


def test_a_manifest_with_settings_says_that_a_reader_must_know_them():
    value = {**a_manifest(**SITE), "features": ["settings"]}

    stranger.check_site(value)
    stack = parse_manifest(strictjson.dump(value)).stack

    assert [each.name for each in stack.settings] == ["PORT"]
    assert [each.label for each in stack.secrets] == ["api-key", "token"]
    with pytest.raises(FormatVersionError, match="settings"):
        check_version(value, (), "manifest.json")


@pytest.mark.parametrize(
    "value",
    [
        a_manifest(**SITE),
        {**a_manifest(), "features": ["settings"]},
        {
            **a_manifest(settings=[{"name": n, "type": "text"} for n in ("A", "a")]),
            "features": ["settings"],
        },
        {
            **a_manifest(secrets=[{"label": "a"}, {"label": "a"}]),
            "features": ["settings"],
        },
        {
            **a_manifest(secrets=[{"label": "a", "generate": 7}]),
            "features": ["settings"],
        },
        {**a_manifest(secrets=[{"label": "A"}]), "features": ["settings"]},
    ],
    ids=["no feature", "feature alone", "case", "label twice", "short", "no label"],
)
def test_settings_that_break_a_rule_refuse_the_manifest_for_both_readers(value):
    with pytest.raises(ValueError, match=r"."):
        stranger.check_site(value)
    with pytest.raises(ManifestError):
        parse_manifest(strictjson.dump(value))
