"""What a signer may not ask for is refused, also under a trusted key."""

from __future__ import annotations

from typing import Any

import making
import pytest
from making import NO_ENGINE, changed_json, copied
from sealift_manifests.paths import MAX_PATH


def _file(**changes: Any) -> Any:
    def change(manifest: dict[str, Any]) -> None:
        manifest["models"][0]["files"][0].update(changes)

    return change


def _second(path: str) -> Any:
    def change(manifest: dict[str, Any]) -> None:
        files = manifest["models"][0]["files"]
        files.append({**files[0], "path": path})

    return change


HOSTILE = {
    "a path out of its tree": (_file(path="../../etc/cron.d/x"), 16, "'..'"),
    "a path out through a folder": (_file(path="a/../../x"), 16, "'..'"),
    "an absolute path": (_file(path="/etc/passwd"), 16, "/etc/passwd"),
    "a backslash": (_file(path="..\\x"), 16, "backslash"),
    "a NUL": (_file(path="a\0b"), 16, "control character"),
    "an escape sequence": (_file(path="a\x1b[2Jb"), 16, "control character"),
    "an empty part": (_file(path="a//b"), 16, "empty"),
    "a name too long": (_file(path="a/" * (MAX_PATH // 2) + "b"), 16, "longer"),
    "names that differ in case": (_second("CONFIG.JSON"), 16, "one name"),
    "names that differ in form": (_second("\uff43onfig.json"), 16, "one name"),
    "a file that is a folder too": (_second("config.json/x"), 16, "to be a directory"),
    "a model name out of its place": (
        lambda m: m["models"][0].update(name="../x"),
        10,
        "bad model name",
    ),
    "a version out of its place": (lambda m: m.update(version="../1"), 10, "version"),
    "an unknown field": (lambda m: m.update(surprise=1), 10, "surprise"),
    "an unknown field of a file": (_file(mode=0o4755), 10, "'mode'"),
    "an unknown format": (lambda m: m.update(format=2), 14, "format 2"),
    "an unknown feature": (lambda m: m.update(features=["warp"]), 14, "warp"),
    "a size that is not so": (_file(size=1), 10, "config.json"),
    "a file that no pack holds": (
        _file(digest="sha256:" + 64 * "0"),
        10,
        "config.json",
    ),
}
"""Changes of a manifest, each signed with the trusted key, and how they are refused."""


@pytest.mark.parametrize("what", HOSTILE)
def test_a_trusted_signature_on_a_bad_manifest_is_no_excuse(
    refused, shop, host, tmp_path, what
):
    change, code, word = HOSTILE[what]
    bundle = copied(shop.older, tmp_path)
    changed_json(bundle / "manifest.json", change)
    making.resign(bundle, shop.key)
    args = ["install", bundle, "--key", shop.key.public]

    outcome = refused(code, word, args=args, on=host.but(engine=NO_ENGINE))

    assert "\x1b" not in outcome.said, "a name must not work on the terminal"


@pytest.mark.parametrize("name", ["manifest.json", "index.json"])
def test_a_key_given_twice_in_a_signed_document_is_refused(
    refused, shop, host, tmp_path, name
):
    bundle = copied(shop.older, tmp_path)
    text = (bundle / name).read_text()
    (bundle / name).write_text(text.replace('"format":', '"format":1,"format":', 1))
    making.resign(bundle, shop.key)
    args = ["install", bundle, "--key", shop.key.public]

    refused(10, name, "same key twice", args=args, on=host.but(engine=NO_ENGINE))
