"""The lock: an unchanged source keeps its pin, a changed one is told."""

from dataclasses import replace
from pathlib import Path

import pytest
from sealift_bundler.lock import (
    ImagePin,
    LocalPin,
    Lock,
    ModelPin,
    image_pin,
    lock_path,
    model_pin,
    require_locked,
    require_same,
    sources_of,
)
from sealift_bundler.spec import Spec
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import LockDriftError, OutputError, SpecError

HERE = Path("/work/spec")
CHAT = ModelPin("chat", "org/model", "v1.0", "a" * 40)
SERVER = ImagePin("server", "x:1", "linux/amd64", digest_of(b"m"), digest_of(b"i"))
TINY = LocalPin("models", "tiny", "tiny", digest_of(b"tree"))
WEB = LocalPin("images", "web", "build for linux/amd64", digest_of(b"config"))
UI = LocalPin("images", "ui", "ui:1 for linux/amd64", digest_of(b"other"))
LOCK = Lock.of([WEB, CHAT, SERVER, UI, TINY])


def a_spec(**changes):
    spec = {
        "sealift": 1,
        "name": "acme",
        "version": "1",
        "models": {
            "chat": {"huggingface": "org/model", "revision": "v1.0"},
            "tiny": {"path": HERE / "tiny"},
        },
        "images": {
            "server": {"pull": "x:1"},
            "web": {"build": {"context": HERE / "web"}},
            "ui": {"engine": "ui:1"},
        },
    }
    return Spec.model_validate({**spec, **changes})


def test_a_lock_is_read_as_it_was_written_and_lies_beside_the_spec(tmp_path):
    path = lock_path(tmp_path / "sealift.yaml")

    LOCK.save(path)

    assert path.name == "sealift.lock.json"
    assert Lock.load(path) == LOCK
    assert [p.name for p in tmp_path.iterdir()] == ["sealift.lock.json"]


def test_the_order_of_pins_does_not_matter(tmp_path):
    Lock.of([TINY, UI, WEB, SERVER, CHAT]).save(tmp_path / "a")
    LOCK.save(tmp_path / "b")

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_lock_that_is_not_there_has_no_pins(tmp_path):
    assert Lock.load(tmp_path / "none.json") == Lock.of([])


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 9}', '{"format": 1, "x": 1}']
)
def test_a_damaged_lock_is_told_and_not_ignored(tmp_path, text):
    (tmp_path / "l.json").write_text(text)

    with pytest.raises(SpecError, match=r"l\.json"):
        Lock.load(tmp_path / "l.json")


def test_a_lock_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "l.json").mkdir()

    with pytest.raises(OutputError):
        LOCK.save(tmp_path / "l.json")

    assert [p.name for p in tmp_path.iterdir()] == ["l.json"]


def test_an_unchanged_source_uses_its_pin():
    spec = a_spec()

    assert model_pin(LOCK, "chat", spec.models["chat"]) == CHAT
    assert image_pin(LOCK, "server", spec) == SERVER


def test_an_update_asks_again():
    spec = a_spec()

    assert model_pin(LOCK, "chat", spec.models["chat"], update=True) is None
    assert image_pin(LOCK, "server", spec, update=True) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"models": {"chat": {"huggingface": "org/model", "revision": "v2"}}},
        {"models": {"chat": {"huggingface": "org/other", "revision": "v1.0"}}},
        {"models": {"chat": {"path": HERE}}},
    ],
)
def test_a_changed_model_asks_again(changes):
    spec = a_spec(**changes)

    assert model_pin(LOCK, "chat", spec.models["chat"]) is None


@pytest.mark.parametrize(
    "changes",
    [{"images": {"server": {"pull": "x:2"}}}, {"platform": "linux/arm64"}],
)
def test_a_changed_image_or_platform_asks_again(changes):
    assert image_pin(LOCK, "server", a_spec(**changes)) is None


def test_a_lock_that_fits_its_spec_passes():
    require_locked(LOCK, sources_of(a_spec(), HERE))
    require_same(LOCK, LOCK)


def test_every_entry_that_drifted_is_told_at_once():
    spec = a_spec(
        models={
            "chat": {"huggingface": "org/model", "revision": "v2"},
            "new": {"path": HERE / "new"},
        }
    )

    with pytest.raises(LockDriftError) as caught:
        require_locked(LOCK, sources_of(spec, HERE))

    assert [line.split(":")[0].strip() for line in caught.value.message.split("\n")][
        1:
    ] == ["models.chat", "models.new", "models.tiny"]


def test_a_changed_platform_is_drift_of_every_image():
    with pytest.raises(LockDriftError) as caught:
        require_locked(LOCK, sources_of(a_spec(platform="linux/arm64"), HERE))

    assert caught.value.message.count("linux/arm64") == 3


def test_changed_local_content_is_drift():
    others = [pin for pin in LOCK.pins() if pin != TINY]
    built = Lock.of([*others, replace(TINY, digest=digest_of(b"x"))])

    with pytest.raises(LockDriftError, match=r"models\.tiny"):
        require_same(LOCK, built)
