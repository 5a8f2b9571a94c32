"""One slot for the sticks of a bundle: they come one by one, in any order."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import hosts
import making
import pytest
from engines import unique
from making import NO_ENGINE, PYZ, Host, Key, flip
from one_slot import ASKED, Slot, at_a_terminal, on_sticks
from registries import make_image, make_layer, running_registry
from sealift_manifests.names import data_volume_name

MIB = 1 << 20
FILES = {
    "a.gguf": making.noise("first", 12 * MIB),
    "b.gguf": making.noise("second", 12 * MIB),
    "config.json": b"{}",
}


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[Slot]:
    if not hosts.is_root():
        pytest.skip("only root can mount")
    slot = Slot(tmp_path / "slot")
    slot.place.mkdir()
    yield slot
    slot.pull()


@pytest.fixture(scope="module")
def bundle(key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spec")
    spec = making.weights_spec(folder, "slots", FILES, serial=1)
    return making.build(spec, key, folder / "out", "--part-size", "9MiB")


@pytest.fixture
def sticks(bundle: Path, tmp_path: Path) -> list[Path]:
    return on_sticks(bundle, tmp_path / "sticks")


@pytest.fixture
def host(tmp_path: Path, bundle: Path) -> Host:
    (tmp_path / "host").mkdir()
    return Host(tmp_path / "host", bundle / PYZ, engine=NO_ENGINE)


def test_the_sticks_come_one_by_one_in_any_order(host, slot, sticks, key):
    assert len(sticks) > 2
    slot.insert(sticks[1])

    with at_a_terminal(host, slot, "--key", key.public) as terminal:
        for stick in (sticks[-1], *sticks[2:-1], sticks[0]):
            assert "still needed: " in terminal.wait_for(ASKED)
            slot.insert(stick)
            terminal.type("")
        assert terminal.end() == 0, terminal.said

    host.run("audit").expect(0, "clean")
    assert list((host.state / "journal").iterdir()) == []


def test_another_path_may_be_typed(host, slot, sticks, key):
    slot.insert(sticks[0])

    with at_a_terminal(host, slot, "--key", key.public) as terminal:
        for stick in sticks[1:]:
            terminal.wait_for(ASKED)
            terminal.type(str(stick))
        assert terminal.end() == 0, terminal.said

    host.run("audit").expect(0, "clean")


def test_a_stick_of_another_bundle_is_refused_by_name_and_asked_for_again(
    host, slot, sticks, key, tmp_path
):
    other = making.weights_spec(tmp_path / "other", "elsewhere", version="7.7")
    stranger = making.build(other, key, tmp_path / "out")
    slot.insert(sticks[0])

    with at_a_terminal(host, slot, "--key", key.public) as terminal:
        terminal.wait_for(ASKED)
        slot.insert(stranger)
        terminal.type("")
        said = terminal.wait_for(ASKED)
        assert "this is elsewhere 7.7" in said
        slot.pull()
        terminal.type("")
        assert "there is no Sealift bundle in" in terminal.wait_for(ASKED)
        slot.insert(sticks[0])
        terminal.type("")
        assert "nothing that is still needed" in terminal.wait_for(ASKED)
        terminal.type("q")
        assert terminal.end() == 15

    assert "data-0002.pack: is not on" in terminal.said


def test_without_a_terminal_each_run_takes_what_the_stick_has(host, sticks, key):
    *most, last = sticks
    for stick in most:
        outcome = host.run("install", stick, "--swap", "--key", key.public)
        outcome.expect(15, "What was verified is kept", "Insert the medium")
        assert f"{stick.name}.pack: is not on" not in outcome.said
        shutil.rmtree(stick)  # It is not needed again.

    host.run("install", last, "--swap", "--key", key.public).expect(0)

    host.run("audit").expect(0, "clean")


def test_without_the_option_nothing_is_written_and_the_option_is_named(
    host, sticks, key
):
    before = host.listing()

    outcome = host.run("install", sticks[0], "--key", key.public)

    outcome.expect(15, "data-0002.pack", "--swap")
    assert host.listing() == before


def test_a_bad_stick_is_told_and_another_copy_of_it_goes_on(
    host, slot, sticks, key, tmp_path
):
    bad = Path(shutil.copytree(sticks[1], tmp_path / "bad"))
    flip(bad / "data-0002.pack", at=5)
    slot.insert(sticks[0])

    with at_a_terminal(host, slot, "--key", key.public) as terminal:
        terminal.wait_for(ASKED)
        slot.insert(bad)
        terminal.type("")
        said = terminal.wait_for(ASKED)
        assert "data-0002.pack: is not what was signed (bytes 0-" in said
        for stick in sticks[1:]:
            slot.insert(stick)
            terminal.type("")
            if stick != sticks[-1]:
                terminal.wait_for(ASKED)
        assert terminal.end() == 0, terminal.said

    host.run("audit").expect(0, "clean")


# Images


@pytest.fixture(scope="module")
def with_images(key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of four packs: an image in one of them, another in all but one."""
    folder, name = tmp_path_factory.mktemp("images"), unique("slots")
    layers = [
        make_layer({f"l{n}": making.noise(f"{name} {n}", 7 * MIB)}) for n in "abc"
    ]
    images = {
        "wide": make_image(layers),
        "small": make_image([make_layer({"a": b"a"})]),
    }
    with running_registry(making.write_files(folder / "registry", {})) as registry:
        for tag, image in images.items():
            registry.push_image(f"{name}:{tag}", image)
        pulls = {tag: {"pull": f"{registry.host}/{name}:{tag}"} for tag in images}
        files = {"a.gguf": FILES["a.gguf"]}
        spec = making.weights_spec(folder, name, files, serial=1, images=pulls)
        options = ["--part-size", "9MiB", "--insecure-registry", registry.host]
        return making.build(spec, key, folder / "out", *options)


def test_an_image_that_lies_on_several_sticks_is_loaded_as_they_come(
    engine, slot, with_images, key, tmp_path
):
    host = Host(tmp_path / "host", with_images / PYZ)
    name = with_images.name.rpartition("-")[0]
    sticks = on_sticks(with_images, tmp_path / "sticks")
    slot.insert(sticks[-1])

    try:
        with at_a_terminal(host, slot, "--key", key.public) as terminal:
            while "is installed at" not in terminal.said:
                said = terminal.wait_for(ASKED, or_else="is installed at")
                needed = [s for s in sticks if f"{s.name}.pack" in said]
                if needed:
                    slot.insert(needed[0])
                    terminal.type("")
            assert terminal.end() == 0, terminal.said
        host.run("audit").expect(0, "clean")
        assert len(making.in_engine(engine, name)["images"]) == 2
    finally:
        making.clear_engine(engine, name)


def test_an_image_on_several_sticks_needs_somebody_to_change_them(
    engine, with_images, key, tmp_path
):
    host = Host(tmp_path / "host", with_images / PYZ)
    name = with_images.name.rpartition("-")[0]
    sticks = on_sticks(with_images, tmp_path / "sticks")

    try:
        for stick in sticks:
            args = [stick, "--swap", "--key", key.public]
            host.run("install", *args).expect(15, "from a terminal")
        together = [*sticks, "--key", key.public]
        host.run("install", *together).expect(0, "0 B of weights")
    finally:
        making.clear_engine(engine, name)


def test_data_on_several_sticks_is_poured_from_each_in_turn(
    engine, key, slot, tmp_path
):
    name = unique("slots")
    making.write_files(tmp_path, {f"data/{n}": making.noise(n, 8 * MIB) for n in "abc"})
    spec = making.a_spec(tmp_path, name, volumes={"store": {"path": "data"}})
    bundle = making.build(spec, key, tmp_path / "out", "--part-size", "9MiB")
    first, *others = on_sticks(bundle, tmp_path / "sticks")
    (tmp_path / "host").mkdir()
    host = Host(tmp_path / "host", bundle / PYZ, engine=str(engine.socket))
    slot.insert(first)
    try:
        with at_a_terminal(host, slot, "--key", key.public) as terminal:
            for stick in others:
                terminal.wait_for(ASKED)
                slot.insert(stick)
                terminal.type("")
            assert terminal.end() == 0, terminal.said

        volume = data_volume_name(name, "store")
        words = ("volume", "inspect", "-f", "{{.Mountpoint}}", volume)
        place = Path(engine.text(*words))
        for letter in "abc":
            data = (place / letter).read_bytes()
            assert data == making.noise(letter, 8 * MIB)
    finally:
        making.clear_engine(engine, name)
