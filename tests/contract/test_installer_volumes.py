"""Named volumes on a real engine: what containers see, and what they may not do."""

import pytest
from engines import (
    SHELL,
    an_image,
    busybox_layer,
    run,
    unique,
)
from sealift_installer.volumes import ensure_volume, remove_volume, volume_fault
from sealift_manifests.errors import EngineError, StagingError

pytestmark = pytest.mark.docker


def test_a_volume_shows_the_tree_and_lets_nobody_write(host, load, tmp_path):
    engine, noted = host
    image = load(an_image(busybox_layer()))
    (tmp_path / "weights").write_text("many")
    name = unique()
    noted.append(f"/volumes/{name}")

    for _ in range(2):
        ensure_volume(engine, name, str(tmp_path), {"sealift.bundle": "chat"})

    script = f"{SHELL} cat /m/weights; {SHELL} touch /m/new"
    said = run(engine, image.entry.reference, script, [f"{name}:/m"])
    assert said.startswith("many")
    assert "Read-only file system" in said
    assert volume_fault(engine, name, str(tmp_path)) is None
    found = engine.get(f"/volumes/{name}")
    assert found["Labels"] == {"sealift.bundle": "chat"}

    remove_volume(engine, name)
    remove_volume(engine, name)
    assert (tmp_path / "weights").read_text() == "many"
    assert volume_fault(engine, name, str(tmp_path)).endswith(name)


@pytest.mark.parametrize("options", [{}, {"type": "none", "o": "bind"}])
def test_a_volume_that_leads_elsewhere_is_named_and_left_alone(host, tmp_path, options):
    engine, noted = host
    name = unique()
    noted.append(f"/volumes/{name}")
    theirs = {**options, "device": "/srv/theirs"} if options else {}
    wanted = {"Name": name, "Driver": "local", "DriverOpts": theirs}
    before = engine.send("POST", "/volumes/create", wanted)

    with pytest.raises(StagingError) as caught:
        ensure_volume(engine, name, str(tmp_path), {})

    place = theirs.get("device") or before["Mountpoint"]
    assert place in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert place in volume_fault(engine, name, str(tmp_path))
    assert engine.get(f"/volumes/{name}") == before


def test_a_volume_that_could_be_written_through_is_a_fault(host, tmp_path):
    engine, noted = host
    name = unique()
    noted.append(f"/volumes/{name}")
    options = {"type": "none", "o": "bind", "device": str(tmp_path)}
    wanted = {"Name": name, "Driver": "local", "DriverOpts": options}
    engine.send("POST", "/volumes/create", wanted)

    assert "not read-only" in volume_fault(engine, name, str(tmp_path))


def test_a_volume_for_a_tree_that_is_not_there_is_refused(host, tmp_path):
    engine, _ = host

    with pytest.raises(StagingError, match="not a directory"):
        ensure_volume(engine, unique(), str(tmp_path / "none"), {})


def test_a_volume_in_use_is_not_removed(host, load, tmp_path):
    engine, noted = host
    image, name = load(an_image(busybox_layer())), unique()
    noted.append(f"/volumes/{name}")
    ensure_volume(engine, name, str(tmp_path), {})
    wanted = {
        "Image": image.entry.reference,
        "Cmd": ["/x"],
        "HostConfig": {"Binds": [f"{name}:/m"]},
    }
    made = engine.send("POST", "/containers/create", wanted)["Id"]
    noted.append(f"/containers/{made}")

    with pytest.raises(EngineError, match="is in use"):
        remove_volume(engine, name)
