"""Which signatures are enough for a host."""

import time
from datetime import timedelta

import pytest
from sealift_bundler.signing import sign_sums
from sealift_manifests.errors import (
    SignatureError,
    UntrustedKeyError,
)
from sealift_manifests.trust import (
    Policy,
    Trust,
    check_signatures,
    companion_file,
    parse_allowed_signers,
    signature_file,
)
from trust_cases import NOW, SUMS, accepted_names, allowing


def test_a_signature_by_an_allowed_signer_is_accepted_with_its_name(make):
    release = make("release")

    (accepted,) = check_signatures(
        SUMS, sign_sums(SUMS, [release]), allowing(release), NOW
    )

    assert accepted.file == "SHA256SUMS.release.sig"
    assert accepted.principal == "release"
    assert accepted.key == release.public_key
    assert accepted.algorithm == "ssh-ed25519"


def test_a_host_that_trusts_nothing_installs_nothing(make):
    with pytest.raises(UntrustedKeyError, match="no trust, no install") as caught:
        check_signatures(SUMS, sign_sums(SUMS, [make("release")]), Trust(), NOW)

    for option in ("--allowed-signers", "--key", "--fingerprint"):
        assert option in caught.value.hint


def test_a_bundle_without_signature_is_refused(make):
    hsm = make("hsm")
    only_for_openssl = {
        companion_file("hsm"): sign_sums(SUMS, [hsm])[companion_file("hsm")]
    }

    for signatures in ({}, only_for_openssl):
        with pytest.raises(SignatureError, match="no signature file"):
            check_signatures(SUMS, signatures, allowing(hsm), NOW)


def test_a_key_is_not_trusted_because_it_came_with_the_bundle(make):
    stranger = make("stranger")

    with pytest.raises(UntrustedKeyError) as caught:
        accepted_names(sign_sums(SUMS, [stranger]), allowing(make("release")))

    assert stranger.public_key.fingerprint in caught.value.message
    assert "compare" in caught.value.hint
    assert "another way" in caught.value.hint


def test_signatures_by_unknown_keys_beside_a_trusted_one_are_ignored(make):
    release, stranger = make("release"), make("stranger")
    signatures = sign_sums(SUMS, [stranger, release])

    assert accepted_names(signatures, allowing(release)) == ["release"]


def test_a_key_is_trusted_by_its_fingerprint_or_its_file(make):
    release, hsm = make("release"), make("hsm")
    signatures = sign_sums(SUMS, [release, hsm])
    by_print = Trust.from_fingerprints([release.public_key.fingerprint])
    by_file = Trust.from_key_file(hsm.public_key.line + " token", "hsm.pub")

    assert accepted_names(signatures, by_print) == [release.public_key.fingerprint]
    assert accepted_names(signatures, by_file) == [hsm.public_key.fingerprint]
    both = Trust.combined([by_print, by_file], Policy(threshold=2))
    assert len(accepted_names(signatures, both)) == 2


def test_two_of_three_signers_are_enough_when_two_are_wanted(make):
    a, b, c = make("a"), make("hsm-b"), make("c")
    trust = allowing(a, b, c, policy=Policy(threshold=2))

    assert accepted_names(sign_sums(SUMS, [a, b]), trust) == ["a", "hsm-b"]
    with pytest.raises(UntrustedKeyError, match=r"by 2 trusted keys.* has 1") as caught:
        accepted_names(sign_sums(SUMS, [c]), trust)
    assert c.public_key.fingerprint in caught.value.message


def test_a_key_that_signs_twice_counts_once(make):
    a, b = make("a"), make("b")
    trust = allowing(a, b, a, policy=Policy(threshold=2))
    signature = sign_sums(SUMS, [a])[signature_file("a")]
    twice = {signature_file("a"): signature, signature_file("b"): signature}

    with pytest.raises(UntrustedKeyError, match="has 1"):
        check_signatures(SUMS, twice, trust, NOW)


def test_a_p384_key_does_not_count_again_through_its_file_for_openssl(make):
    hsm, a = make("hsm"), make("a")
    trust = allowing(hsm, a, policy=Policy(threshold=2))

    with pytest.raises(UntrustedKeyError, match="has 1"):
        check_signatures(SUMS, sign_sums(SUMS, [hsm]), trust, NOW)


def test_one_broken_signature_stops_everything_though_another_is_good(make):
    a, b = make("a"), make("b")
    signatures = sign_sums(SUMS, [a])
    signatures |= sign_sums(SUMS + b"more\n", [b])

    with pytest.raises(SignatureError, match=r"SHA256SUMS\.b\.sig'.*does not match"):
        check_signatures(SUMS, signatures, allowing(a, b), NOW)


def test_a_malformed_signature_file_is_named(make):
    signatures = {**sign_sums(SUMS, [make("a")]), signature_file("z"): b"\0"}

    with pytest.raises(SignatureError, match=r"SHA256SUMS\.z\.sig'.*malformed"):
        check_signatures(SUMS, signatures, allowing(make("a")), NOW)


def test_the_file_for_openssl_must_agree_with_the_signature_beside_it(make):
    hsm = make("hsm")
    signatures = sign_sums(SUMS, [hsm])
    other = sign_sums(SUMS + b"more\n", [hsm])
    signatures[companion_file("hsm")] = other[companion_file("hsm")]

    with pytest.raises(SignatureError, match=r"hsm\.p384\.sig'.*does not match"):
        check_signatures(SUMS, signatures, allowing(hsm), NOW)


def test_the_policy_says_which_types_of_key_count(make):
    hsm, a = make("hsm"), make("a")
    trust = allowing(hsm, a, policy=Policy(algorithms=("ecdsa-sha2-nistp384",)))

    assert accepted_names(sign_sums(SUMS, [hsm, a]), trust) == ["hsm"]
    with pytest.raises(UntrustedKeyError, match="policy does not accept"):
        accepted_names(sign_sums(SUMS, [a]), trust)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ('valid-before="20261123115959Z"', "was trusted until 2026-11-23 11:59 UTC"),
        ('valid-after="20261123120001Z"', "only after 2026-11-23 12:00 UTC"),
        ('namespaces="git"', "not allowed to sign for sealift-bundle@v1"),
        ('namespaces="*,!sealift-bundle@v1"', "not allowed to sign"),
        (
            'namespaces="sealift-bundle@v,sealift-bundle@v1x,ealift*"',
            "not allowed to sign",
        ),
    ],
)
def test_a_line_that_does_not_cover_the_signature_does_not_count(make, options, words):
    release = make("release")

    with pytest.raises(UntrustedKeyError, match=words):
        accepted_names(sign_sums(SUMS, [release]), allowing(release, options=options))


@pytest.mark.parametrize(
    "options",
    [
        'valid-before="20261123120000Z"',
        'valid-after="20261123120000Z"',
        'valid-after="20250101",valid-before="202712312359utc"',
        'namespaces="sealift-bundle@v1"',
        'NameSpaces="git,sealift-*@v?"',
    ],
)
def test_a_line_that_covers_the_signature_counts(make, options):
    release = make("release")
    trust = allowing(release, options=options)

    assert accepted_names(sign_sums(SUMS, [release]), trust) == ["release"]


def test_a_key_with_an_expired_and_a_current_line_counts(make):
    release = make("release")
    text = "\n".join(
        [
            f'old valid-before="20250101Z" {release.public_key.line}',
            f"new {release.public_key.line}",
        ]
    )

    trust = Trust.from_allowed_signers(text, "f")

    assert accepted_names(sign_sums(SUMS, [release]), trust) == ["new"]


def test_a_time_without_z_is_the_hosts_own_time(make, monkeypatch):
    monkeypatch.setenv("TZ", "XST-05:00")
    time.tzset()
    try:
        line = f'r valid-before="202611231700" {make("release").public_key.line}'
        (found,) = parse_allowed_signers(line, "f")
    finally:
        monkeypatch.undo()
        time.tzset()

    assert found.valid_before == NOW
    assert found.valid_before.utcoffset() == timedelta(hours=5)
