"""The offline side against a real engine: images and their audit."""

import gzip
import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from engines import (
    SHELL,
    RawImage,
    a_layer,
    an_image,
    busybox_layer,
    renamed,
    run,
)
from sealift_installer.engine import Engine, EngineRefusedError
from sealift_installer.image_archive import archive, archive_size
from sealift_installer.image_audit import audit_image
from sealift_installer.images import (
    ABSENT,
    OTHER,
    PRESENT,
    PROOF_LABEL,
    image_state,
    load_image,
    prove_image,
    remove_image,
)
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import (
    DigestMismatchError,
    EngineError,
    ImageLoadError,
)

pytestmark = pytest.mark.docker


# Talking to an engine


def test_an_engine_says_what_it_is(host):
    engine, _ = host

    facts = engine.probe()

    assert facts == engine.facts()
    assert facts.platform == "linux/amd64"
    assert facts.version.startswith(engine.get("/version")["Version"][:5])
    assert facts.is_local
    assert Path(facts.root_dir).is_dir()


def test_no_engine_is_no_facts_and_an_error_that_says_how_to_start_one(tmp_path):
    engine = Engine(str(tmp_path / "none.sock"))

    assert engine.probe() is None
    with pytest.raises(EngineError, match=r"none\.sock does not exist") as caught:
        engine.facts()
    assert "systemctl start docker" in caught.value.hint


def test_a_socket_nobody_listens_at_is_told_from_one_that_is_not_there(tmp_path):
    path = str(tmp_path / "dead.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)

    with pytest.raises(EngineError, match="no engine listens at"):
        Engine(path).get("/info")


def test_a_refusal_carries_the_engines_own_words(host):
    engine, _ = host

    with pytest.raises(EngineRefusedError, match="No such container") as caught:
        engine.get("/containers/sealift-none/json")

    assert caught.value.status == 404
    assert engine.find("/containers/sealift-none/json") is None


def test_an_upload_that_the_engine_refuses_early_ends_with_its_reason(host):
    engine, _ = host
    body = (bytes(1 << 20) for _ in range(100))

    with pytest.raises(EngineRefusedError, match="page not found"):
        engine.request("POST", "/sealift/no-such-thing", body)


def test_what_is_no_archive_is_told_in_the_engines_words(host):
    engine, _ = host
    body = (b"this is no tar archive" * 50_000 for _ in range(100))

    with engine.request("POST", "/images/load?quiet=1", body, None) as answer:
        told = answer.read().decode()

    assert "errorDetail" in told
    assert "tar" in told


# Images


@pytest.mark.parametrize("kind", ["oci", "docker"])
@pytest.mark.parametrize("compress", [True, False])
def test_an_image_is_loaded_whole_under_its_name_and_taken_away_again(
    host, load, kind, compress
):
    engine, _ = host
    same = a_layer({"same": b"same"})
    image = an_image(
        busybox_layer(), same, a_layer({"b": b"2"}), same, kind=kind, compress=compress
    )
    assert image_state(engine, image.entry) == ABSENT
    sent = []

    load(image)
    load_image(engine, image.entry, image.read, sent.append)

    assert sum(sent) == archive_size(image.entry)
    assert image_state(engine, image.entry) == PRESENT
    assert prove_image(engine, image.entry) is None
    assert audit_image(engine, image.entry) == []
    said = run(engine, image.entry.reference, f"{SHELL} cat /same /b", [])
    assert said == "same2"
    assert remove_image(engine, image.entry)
    assert image_state(engine, image.entry) == ABSENT
    assert not remove_image(engine, image.entry)


def test_an_error_on_the_medium_reaches_the_user_and_leaves_no_image(host):
    engine, _ = host
    image = an_image(busybox_layer(), compress=False)
    layer = image.entry.layers[0].digest

    def read(digest):
        for number, piece in enumerate(image.read(digest)):
            if digest == layer and number == 20:
                raise OSError(5, "Input/output error")
            yield piece

    with pytest.raises(OSError, match="Input/output error"):
        load_image(engine, image.entry, read)

    assert image_state(engine, image.entry) == ABSENT


def test_a_changed_blob_leaves_no_image(host):
    engine, _ = host
    image = an_image(compress=False)
    layer = image.entry.layers[0].digest
    image.blobs[layer] = image.blobs[layer].replace(b"sealift", b"SEALIFT", 1)

    with pytest.raises(DigestMismatchError):
        load_image(engine, image.entry, image.read)

    assert image_state(engine, image.entry) == ABSENT


def test_a_layer_that_is_not_what_the_config_says_is_not_loaded(host):
    engine, _ = host
    image = an_image()
    other = gzip.compress(a_layer({"evil": b"evil"}), 1, mtime=0)
    layer = replace(image.entry.layers[0], digest=digest_of(other), size=len(other))
    image.blobs[layer.digest] = other
    entry = replace(image.entry, layers=(layer,))

    with pytest.raises(ImageLoadError, match="did not load image test"):
        load_image(engine, entry, image.read)

    assert image_state(engine, entry) == ABSENT


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        pytest.param(
            lambda e: replace(
                e, layers=(replace(e.layers[0], diff_id=digest_of(b"")),)
            ),
            "other layers",
            id="other layers",
        ),
        pytest.param(
            lambda e: replace(e, platform="linux/arm64"),
            "not linux/arm64",
            id="other platform",
        ),
    ],
)
def test_an_image_that_is_not_as_signed_loses_its_name_again(host, load, lie, words):
    engine, _ = host
    image = an_image()

    with pytest.raises(ImageLoadError, match=words):
        load(RawImage(lie(image.entry), image.blobs))

    assert image_state(engine, image.entry) == ABSENT


def test_a_name_that_means_another_image_is_refused_and_left_alone(host, load):
    engine, _ = host
    theirs = load(an_image())
    ours = renamed(an_image(), theirs.entry.reference)

    with pytest.raises(ImageLoadError) as caught:
        load_image(engine, ours.entry, ours.read)

    known = {theirs.entry.config.digest, theirs.entry.manifest.digest}
    assert any(digest in caught.value.message for digest in known)
    assert ours.entry.config.digest in caught.value.message
    assert f"docker rmi {theirs.entry.reference}" in caught.value.hint
    assert image_state(engine, ours.entry) == OTHER
    assert not remove_image(engine, ours.entry)
    assert prove_image(engine, theirs.entry) is None


def test_an_image_in_use_is_not_removed(host, load):
    engine, noted = host
    image = load(an_image(busybox_layer()))
    wanted = {"Image": image.entry.reference, "Cmd": ["/x"]}
    made = engine.send("POST", "/containers/create", wanted)["Id"]
    noted.append(f"/containers/{made}")

    with pytest.raises(EngineError, match="is in use"):
        remove_image(engine, image.entry)


def test_a_proof_leaves_no_container_not_even_of_a_run_that_was_killed(host, load):
    engine, _ = host
    image = load(an_image(config={"Volumes": {"/data": {}}}))
    left = {
        "Image": image.entry.reference,
        "Cmd": ["/x"],
        "Labels": {PROOF_LABEL: "x"},
    }
    killed = engine.send("POST", "/containers/create", left)["Id"]
    volumes = len(engine.get("/volumes")["Volumes"] or [])

    assert prove_image(engine, image.entry) is None

    assert engine.find(f"/containers/{killed}/json") is None
    mine = json.dumps({"ancestor": [image.entry.reference]})
    assert engine.get("/containers/json", all="1", filters=mine) == []
    assert len(engine.get("/volumes")["Volumes"] or []) < volumes


def test_an_upload_that_breaks_off_after_its_last_blob_is_no_image(host):
    engine, noted = host
    image = an_image(compress=False)
    noted.append(f"/images/{image.entry.reference}")

    def body():
        *blobs, _end = archive(image.entry, image.read)
        yield from blobs
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.request("POST", "/images/load?quiet=1", body(), None)

    assert image_state(engine, image.entry) == ABSENT


def test_an_image_whose_layer_went_missing_is_not_proven(host, load):
    engine, _ = host
    image = load(an_image(busybox_layer(), a_layer({"a": b"1"})))
    layer = overlay_file(engine, image.entry.reference, "a").parent
    away = layer.with_name("away")

    layer.rename(away)

    try:
        assert "no container can be made" in prove_image(engine, image.entry)
        assert "cannot be exported" in audit_image(engine, image.entry)[0]
        away.parent.rename(f"{away.parent}.away")
        assert "cannot be looked at" in prove_image(engine, image.entry)
    finally:
        if not away.parent.exists():
            Path(f"{away.parent}.away").rename(away.parent)
        if layer.exists():
            layer.rmdir()
        away.rename(layer)
    assert prove_image(engine, image.entry) is None


def overlay_file(engine: Engine, reference: str, name: str) -> Path:
    """Return where the engine keeps a file of the top layer."""
    data = engine.get(f"/images/{reference}/json")["GraphDriver"]["Data"]
    if not data:
        pytest.skip(
            "this engine has a containerd store, and no unpacked layers to name"
        )
    path = Path(data["UpperDir"]) / name
    if not os.access(path, os.W_OK):
        pytest.skip("the engine's own files cannot be written by this user")
    return path


@pytest.mark.parametrize("same_size", [True, False])
def test_the_audit_finds_a_file_changed_below_the_engines_directory(
    host, load, same_size
):
    engine, _ = host
    image = load(an_image(busybox_layer(), a_layer({"server.py": b"print('good')"})))
    file = overlay_file(engine, image.entry.reference, "server.py")
    honest = file.read_bytes()
    assert audit_image(engine, image.entry) == []

    file.write_bytes(b"print('evil')" if same_size else b"print('much worse')")

    try:
        faults = audit_image(engine, image.entry)
        assert len(faults) == 1
        assert "image test" in faults[0]
        assert prove_image(engine, image.entry) is None  # A proof does not look.
    finally:
        file.write_bytes(honest)
    assert audit_image(engine, image.entry) == []


def test_the_audit_holds_every_layer_and_the_config_to_what_was_signed(host, load):
    engine, _ = host
    image = load(an_image(a_layer({"a": b"1"}), a_layer({"b": b"2"})))
    one, two = image.entry.layers
    other = replace(two, diff_id=digest_of(b"2"), digest=digest_of(b"3"))
    signed = replace(image.entry, layers=(one, other))

    assert ["layer 2 is not the one" in f for f in audit_image(engine, signed)] == [
        True
    ]
    assert (
        "the export has 2 layers"
        in audit_image(engine, replace(signed, layers=(one,)))[0]
    )
    config = replace(image.entry.config, digest=one.digest)
    wrong = replace(image.entry, config=config)
    assert "its config is not" in audit_image(engine, wrong)[0]


def test_the_audit_of_an_image_that_is_not_there_says_so(host):
    engine, _ = host
    absent = an_image().entry

    (fault,) = audit_image(engine, absent)

    assert "cannot be exported" in fault


def test_an_engine_that_is_gone_is_an_error_and_not_a_fault_of_the_image(tmp_path):
    gone = Engine(str(tmp_path / "none.sock"))

    with pytest.raises(EngineError, match="does not exist"):
        audit_image(gone, an_image().entry)
