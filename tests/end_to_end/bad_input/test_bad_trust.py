"""Whom the host does not trust, it installs nothing of."""

from __future__ import annotations

import shutil

import making
from making import NO_ENGINE, changed_json


def test_a_bundle_of_a_key_that_was_not_named_is_refused(refused, shop, bundle):
    args = ["install", bundle, "--key", shop.stranger.public]

    refused(11, shop.key.fingerprint, "another way", args=args)


def test_without_any_key_nothing_is_installed(refused, bundle):
    refused(11, "trusts no key yet", "--fingerprint", args=["install", bundle])


def test_a_key_that_lies_in_the_bundle_is_not_trusted_for_it(refused, shop, bundle):
    shutil.copy(shop.key.public, bundle / "release.pub")
    making.write_files(
        bundle, {"allowed_signers": f"release {shop.key.public.read_text()}"}
    )

    refused(11, "trusts no key yet", args=["install", bundle])


def test_a_fingerprint_that_came_by_another_way_is_enough(host, shop, bundle):
    outcome = host.run("install", bundle, "--fingerprint", shop.key.fingerprint)

    outcome.expect(0, "is installed at")
    assert (
        shop.key.public.read_text().split()[1]
        in (host.config / "allowed_signers").read_text()
    ), "the first install settles whom the host trusts"


def test_a_host_that_has_its_list_trusts_no_other_key_by_option(refused, host, shop):
    bare = host.but(engine=NO_ENGINE)
    bare.run("install", shop.older, "--key", shop.key.public).expect(0)
    args = ["install", shop.newer, "--key", shop.stranger.public]

    refused(11, str(host.config / "allowed_signers"), args=args, on=bare)


def test_a_bundle_without_a_signature_is_refused(refused, shop, bundle):
    for signature in bundle.glob("*.sig"):
        signature.unlink()
    args = ["install", bundle, "--key", shop.key.public]

    refused(13, "no signature file", "Copy the bundle", args=args)


def test_the_signature_of_another_bundle_is_refused(refused, shop, bundle):
    shutil.copy(shop.newer / "SHA256SUMS.release.sig", bundle)
    args = ["install", bundle, "--key", shop.key.public]

    refused(13, "SHA256SUMS.release.sig", "does not match", args=args)


def test_a_bundle_signed_anew_by_a_stranger_is_refused(refused, shop, bundle):
    changed_json(bundle / "manifest.json", lambda m: m.update(serial=9))
    making.resign(bundle, shop.stranger)
    args = ["install", bundle, "--key", shop.key.public]

    refused(11, shop.stranger.fingerprint, args=args)
