"""A host on which a bundle does not fit is left as it was."""

from __future__ import annotations

import json
import re

import making
from engines import busybox_layer
from making import NO_ENGINE, Host, changed_json, copied
from sealift_manifests.digests import Digest
from sealift_manifests.names import volume_name
from shops import MIB


def test_a_lower_serial_is_refused(refused, host, shop):
    bare = host.but(engine=NO_ENGINE)
    bare.run("install", shop.newer, "--key", shop.key.public).expect(0)

    refused(
        17, "(1)", "(3)", "--allow-downgrade", args=["install", shop.older], on=bare
    )


def test_another_bundle_with_the_same_serial_is_refused(refused, host, shop, tmp_path):
    bare = host.but(engine=NO_ENGINE)
    bare.run("install", shop.newer, "--key", shop.key.public).expect(0)
    other = copied(shop.newer, tmp_path)
    changed_json(other / "manifest.json", lambda m: m.update(builder="another"))
    making.resign(other, shop.key)
    args = ["install", other]

    refused(17, "the same serial (3)", "is not that bundle", args=args, on=bare)


def test_a_full_disk_is_told_before_anything_is_written(host, shop, engine):
    with making.small_disk(host.state, "10m"):
        before = host.listing()
        outcome = host.run("install", shop.good, "--key", shop.key.public)

        outcome.expect(30, str(host.state), "10.0 MiB free", "Free that much")
        assert re.search(r"24\.\d MiB are needed .*: 14\.\d MiB short", outcome.err)
        assert host.listing() == before
        assert not any(making.in_engine(engine, shop.name).values())


def test_a_disk_that_fills_up_meanwhile_leaves_the_old_release_as_it_was(
    host, shop, tmp_path
):
    bare = host.but(engine=NO_ENGINE)
    bare.run("install", shop.older, "--key", shop.key.public).expect(0)
    before = _but_ledger(host)
    files = {"a.gguf": making.noise("much", 20 * MIB)}
    spec = making.weights_spec(tmp_path / "big", shop.name, files, version="2.0")
    bundle = making.build(spec, shop.key, tmp_path)

    # Room is measured for the state directory; the files pass through the journal.
    with making.small_disk(host.state / "journal", "10m"):
        outcome = bare.run("install", bundle)

        outcome.expect(42, str(host.state), "became full", "Make room")
        journal = {path.suffix for path in (host.state / "journal").iterdir()}
        assert journal == {"", ".ranges"}
    assert _but_ledger(host) == before
    assert host.ledger()[-1]["event"] == "install-begun"

    bare.run("install", bundle).expect(0, "is installed at")
    bare.run("audit").expect(0, "clean: ", " 2.0,")


def _but_ledger(host: Host) -> dict[str, str]:
    """Return what lies on the host, but for the log of what was begun."""
    found = host.listing()
    del found["state/ledger.jsonl"]
    return found


def test_a_bundle_with_images_needs_an_engine_that_answers(refused, host, shop):
    args = ["install", shop.good, "--key", shop.key.public]

    refused(40, NO_ENGINE, args=args, on=host.but(engine=NO_ENGINE))


def test_an_image_name_that_means_another_image_is_left_alone(
    refused, shop, engine, tmp_path
):
    making.write_files(tmp_path, {"layer.tar": busybox_layer()})
    engine.run("import", str(tmp_path / "layer.tar"), shop.reference)
    args = ["install", shop.good, "--key", shop.key.public]

    refused(41, shop.reference, f"docker rmi {shop.reference}", args=args)


def test_a_volume_name_that_leads_elsewhere_is_left_alone(host, shop, engine):
    manifest = json.loads((shop.good / "manifest.json").read_bytes())
    tree = Digest(manifest["models"][0]["tree"])
    name = volume_name(shop.name, "tiny", tree)
    engine.run("volume", "create", name)

    outcome = host.run("install", shop.good, "--key", shop.key.public)

    outcome.expect(42, name, f"docker volume rm {name}")
    assert engine.text("volume", "inspect", "-f", "{{.Options}}", name) == "map[]"
    assert not (host.state / "current").exists()
