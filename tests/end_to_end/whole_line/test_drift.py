"""Whatever changed on a host is named by the audit, and taken back by a repair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import hosts
import pytest
from line_making import Line
from making import Host, flip

pytestmark = pytest.mark.docker


Change = Callable[[Host, Line, hosts.Engine], str]
"""Damages a host, and returns what the audit must name."""


def _changed_weights(host: Host, line: Line, engine: hosts.Engine) -> str:
    path = line.trees(line.first, host)["local"] / "model.safetensors"
    flip(path)
    return f"changed: model local: {path}"


def _changed_hub_weights(host: Host, line: Line, engine: hosts.Engine) -> str:
    folder = line.trees(line.first, host)["hub"] / "models--org--hub"
    blob = (folder / f"snapshots/{line.commit}/model.safetensors").resolve()
    flip(blob)
    return f"changed: model hub (model.safetensors): {blob}"


def _missing_file(host: Host, line: Line, engine: hosts.Engine) -> str:
    path = line.trees(line.first, host)["local"] / "sub" / "notes.txt"
    path.unlink()
    return f"missing: model local: {path}"


def _extra_file(host: Host, line: Line, engine: hosts.Engine) -> str:
    path = line.trees(line.first, host)["local"] / "sub" / "modeling.py"
    path.write_text("import os")
    return f"extra: model local: {path}"


def _link_instead(host: Host, line: Line, engine: hosts.Engine) -> str:
    path = line.trees(line.first, host)["local"] / "config.json"
    kept = path.with_name("kept.json")
    path.rename(kept)
    path.symlink_to(kept.name)
    return f"changed: model local: {path}"


def _moved_reference(host: Host, line: Line, engine: hosts.Engine) -> str:
    folder = line.trees(line.first, host)["hub"] / "models--org--hub"
    (folder / "refs" / "main").chmod(0o644)
    (folder / "refs" / "main").write_text("0" * 40)
    return f"changed: model hub: {folder / 'refs' / 'main'}"


def _changed_stack(host: Host, line: Line, engine: hosts.Engine) -> str:
    (path,) = (host.state / "releases").rglob("stack/compose.yaml")
    path.chmod(0o644)
    path.write_text(path.read_text().replace("read_only: true", "read_only: false"))
    return f"changed: stack: {path}"


def _missing_image(host: Host, line: Line, engine: hosts.Engine) -> str:
    reference = line.images(line.first)["found"]
    engine.run("rmi", reference)
    return f"missing: image found: the engine has no image {reference}"


def _missing_volume(host: Host, line: Line, engine: hosts.Engine) -> str:
    name = line.volume(line.first, "local")
    engine.run("volume", "rm", name)
    return f"missing: volume of model local: the engine has no volume {name}"


@pytest.mark.parametrize(
    "change",
    [
        _changed_weights,
        _changed_hub_weights,
        _missing_file,
        _extra_file,
        _link_instead,
        _moved_reference,
        _changed_stack,
        _missing_image,
        _missing_volume,
    ],
    ids=lambda change: change.__name__.strip("_"),
)
def test_a_change_is_named_by_the_audit_and_taken_back_by_a_repair(
    change: Change, whole, at_rest, line, engine
):
    before = whole.listing()
    named = change(whole, line, engine)

    whole.run("audit").expect(50, named, "install --repair")
    whole.run("start").expect(50, named)
    last = whole.ledger()[-1]
    assert (last["event"], last["clean"]) == ("audit", False)
    whole.run("install", line.first, "--repair").expect(0, "is installed at")

    whole.run("audit").expect(0, "clean")
    after = whole.listing()
    varying = {"state/ledger.jsonl"} | {p for p in before if "release.json" in p}
    assert after.keys() == before.keys()
    assert {p for p in before if after[p] != before[p]} <= varying


@pytest.mark.parametrize("text", [b'"1.0"', b'"format"'])
def test_a_change_of_the_signed_files_themselves_is_found(whole, at_rest, line, text):
    (path,) = (whole.state / "releases").rglob("manifest.json")
    # In the version it is still a manifest; in the name of a field it is none.
    place = path.read_bytes().index(text) + 1
    flip(path, at=place)

    whole.run("audit").expect(50, "manifest.json", "bundle")

    flip(path, at=place)
    whole.run("audit").expect(0, "clean")


def test_an_image_name_that_was_given_to_another_image_is_found(
    whole, at_rest, line, engine
):
    images = line.images(line.first)
    engine.run("rmi", images["found"])
    engine.run("tag", images["built"], images["found"])

    audit = whole.run("audit")
    audit.expect(50, f"changed: image found: {images['found']} is another image")
    # A name is never taken from an image: the operator is told how to free it.
    repair = whole.run("install", line.first, "--repair")
    repair.expect(41, images["found"], f"docker rmi {images['found']}")

    engine.run("rmi", images["found"])
    whole.run("install", line.first, "--repair").expect(0, "1 image loaded")
    whole.run("audit").expect(0, "clean")


def test_a_volume_that_was_pointed_elsewhere_is_found(
    whole, at_rest, line, engine, tmp_path
):
    name = line.volume(line.first, "local")
    engine.run("volume", "rm", name)
    options = ("type=none", "o=bind,ro", f"device={tmp_path}")
    engine.run("volume", "create", *(x for o in options for x in ("-o", o)), name)

    whole.run("audit").expect(50, "changed: volume of model local", str(tmp_path))
    repair = whole.run("install", line.first, "--repair")
    repair.expect(42, name, f"docker volume rm {name}")

    engine.run("volume", "rm", name)
    whole.run("install", line.first, "--repair").expect(0, "is installed at")
    whole.run("audit").expect(0, "clean")


def test_a_volume_that_became_writable_is_found(whole, at_rest, line, engine):
    name = line.volume(line.first, "local")
    tree = line.trees(line.first, whole)["local"]
    engine.run("volume", "rm", name)
    options = ("type=none", "o=bind", f"device={tree}")
    engine.run("volume", "create", *(x for o in options for x in ("-o", o)), name)

    whole.run("audit").expect(50, "changed: volume of model local", "not read-only")

    engine.run("volume", "rm", name)
    whole.run("install", line.first).expect(0)


@pytest.fixture
def layer_file(host: Host, line: Line, engine: hosts.Engine) -> Iterator[Path]:
    """A file of the top layer of an image, where the engine keeps it."""
    reference = line.images(line.first)["pulled"]
    driver = engine.text("image", "inspect", "-f", "{{.GraphDriver.Name}}", reference)
    if driver != "overlay2":
        pytest.skip(f"the engine keeps its layers by {driver}")
    place = "{{.GraphDriver.Data.UpperDir}}"
    path = Path(engine.text("image", "inspect", "-f", place, reference), "about")
    before = path.read_bytes()
    yield path
    if path.exists():
        path.write_bytes(before)


def test_a_layer_that_was_changed_in_the_engine_is_found(whole, at_rest, layer_file):
    flip(layer_file)

    found = whole.run("audit")
    shallow = whole.run("audit", "--no-layers")
    flip(layer_file)

    found.expect(50, "changed: image pulled", "pulled")
    shallow.expect(0, "identity checked")
    whole.run("audit").expect(0, "clean")


def test_a_layer_that_was_changed_is_loaded_anew_by_a_repair(
    whole, at_rest, line, layer_file
):
    flip(layer_file)

    whole.run("install", line.first, "--repair").expect(0, "1 image loaded")

    whole.run("audit").expect(0, "clean")


def test_a_repair_says_so_when_the_engine_keeps_a_changed_layer(
    whole, at_rest, line, layer_file, engine
):
    other = f"{line.name}/other:1"
    engine.run("tag", line.images(line.first)["pulled"], other)
    flip(layer_file)

    outcome = whole.run("install", line.first, "--repair")

    outcome.expect(41, "kept damaged layers of image pulled", "docker images")
    engine.run("rmi", other)
    whole.run("install", line.first, "--repair").expect(0, "1 image loaded")
    whole.run("audit").expect(0, "clean")


def test_a_run_that_was_cut_off_right_before_its_end_is_finished(whole, line):
    serial = whole.state / "serials" / line.name
    signers = whole.config / "allowed_signers"
    before = serial.read_bytes(), signers.read_bytes()
    serial.unlink()
    signers.unlink()

    whole.run("install", line.first, "--key", line.key.public).expect(0)

    assert (serial.read_bytes(), signers.read_bytes()) == before
