"""What we sign, ssh-keygen and openssl verify, and the other way round."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from sealift_bundler.keygen import generate_key
from sealift_bundler.signing import (
    sign_sums,
    signer_from_key_file,
    signer_name,
)
from sealift_manifests.errors import SignatureError, SigningError
from sealift_manifests.sshsig import PublicKey, parse_public_keys, verify_sshsig
from sealift_manifests.trust import NAMESPACE
from signing_programs import (
    SUMS,
    made_by_ssh_keygen,
    never_asked,
    run,
    ssh_keygen_verifies,
    tell,
)


def test_ssh_keygen_verifies_what_we_sign_and_nothing_else(ours, tmp_path):
    armored = signer_from_key_file(ours.private, never_asked).sshsig(SUMS)
    line = ours.allowed_signers_line

    assert ssh_keygen_verifies(tmp_path, line, armored, SUMS) == "good"
    assert ssh_keygen_verifies(tmp_path, line, armored, SUMS + b"x") == "bad"


def test_openssl_verifies_the_der_signature_and_nothing_else(tmp_path):
    key = generate_key(tmp_path / "k", "p384", "release")
    files = sign_sums(SUMS, [signer_from_key_file(key.private, never_asked)])
    (tmp_path / "sig").write_bytes(files["SHA256SUMS.release.p384.sig"])
    check = ("openssl", "dgst", "-sha384", "-verify", key.pem)

    assert "Verified OK" in tell(
        *check, "-signature", tmp_path / "sig", "-", given=SUMS, cwd=tmp_path
    )
    failed = run(*check, "-signature", tmp_path / "sig", "-", given=SUMS + b"x")
    assert failed.returncode == 1


def test_ssh_keygen_signs_the_same_bytes_as_we_do_with_ed25519(tmp_path):
    key = made_by_ssh_keygen(tmp_path / "k", "ed25519")

    by_us = signer_from_key_file(key, never_asked).sshsig(SUMS)

    assert by_us == signed_by_ssh_keygen(key)


def test_our_signatures_with_p384_are_the_same_each_time(tmp_path):
    key = generate_key(tmp_path / "k", "p384", "release")
    signer = signer_from_key_file(key.private, never_asked)

    assert sign_sums(SUMS, [signer]) == sign_sums(SUMS, [signer])


# What they sign, we verify


def signed_by_ssh_keygen(key: Path, *options: str, namespace: str = NAMESPACE):
    argv = ("ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", namespace, *options)
    return tell(*argv, given=SUMS).encode()


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_we_verify_what_ssh_keygen_signs(theirs, hash_name):
    armored = signed_by_ssh_keygen(theirs, "-O", f"hashalg={hash_name}")
    (public,) = parse_public_keys(theirs.with_suffix(".pub").read_text())

    assert verify_sshsig(armored, SUMS, NAMESPACE) == public
    with pytest.raises(SignatureError, match="does not match"):
        verify_sshsig(armored, SUMS + b"x", NAMESPACE)


def test_a_signature_that_ssh_keygen_made_for_git_is_refused(theirs):
    armored = signed_by_ssh_keygen(theirs, namespace="git")

    with pytest.raises(SignatureError, match="made for 'git'"):
        verify_sshsig(armored, SUMS, NAMESPACE)


@pytest.mark.parametrize(
    ("comment", "name"),
    [
        ("release", "release"),
        ("release@acme.example", "release-acme.example"),
        ("Ann Ö. / laptop", "Ann-.-laptop"),
        ("../../etc/passwd", "etc-passwd"),
        ("x.p384", "x-p384"),
        ("x.P384", "x-p384"),
        ("", "signer"),
        ("…", "signer"),
        ("a" * 200, "a" * 64),
    ],
)
def test_a_signer_is_named_with_what_every_medium_can_hold(comment, name):
    assert signer_name(comment) == name


def test_signers_of_the_same_name_get_files_of_their_own(tmp_path):
    keys = [generate_key(tmp_path / str(n), k) for n, k in enumerate(("p384",) * 2)]
    keys.append(generate_key(tmp_path / "2"))
    names = ["Release", "release", "RELEASE"]

    files = sign_sums(
        SUMS,
        [
            signer_from_key_file(key.private, never_asked, name=name)
            for key, name in zip(keys, names, strict=True)
        ],
    )

    assert sorted(files) == [
        "SHA256SUMS.RELEASE-3.sig",
        "SHA256SUMS.Release.p384.sig",
        "SHA256SUMS.Release.sig",
        "SHA256SUMS.release-2.p384.sig",
        "SHA256SUMS.release-2.sig",
    ]


def test_a_signer_without_a_public_file_is_named_after_its_key_file(ours):
    ours.public.unlink()

    assert signer_from_key_file(ours.private, never_asked).public_key.comment == "ours"


def test_one_key_cannot_sign_twice_and_no_key_cannot_sign(ours):
    signer = signer_from_key_file(ours.private, never_asked)

    with pytest.raises(SigningError, match="named twice"):
        sign_sums(SUMS, [signer, signer])
    with pytest.raises(SigningError, match="no key to sign with"):
        sign_sums(SUMS, [])


@dataclass(frozen=True)
class Faulty:
    """A signer that claims one key and gives what it was told to give."""

    public_key: PublicKey
    gives_sshsig: bytes
    gives_der: bytes | None

    def sshsig(self, message: bytes) -> bytes:
        return self.gives_sshsig

    def der(self, message: bytes) -> bytes | None:
        return self.gives_der


def test_a_signer_that_gives_a_wrong_signature_is_caught_before_the_bundle_leaves(
    tmp_path,
):
    one, other = (
        signer_from_key_file(generate_key(tmp_path / n, "p384").private, never_asked)
        for n in "ab"
    )
    key, good, der = one.public_key, one.sshsig(SUMS), one.der(SUMS)

    for faulty in (
        Faulty(key, b"", der),
        Faulty(key, one.sshsig(b"else"), der),
        Faulty(key, other.sshsig(SUMS), der),
        Faulty(key, good, one.der(b"else")),
    ):
        with pytest.raises(SigningError, match="does not verify"):
            sign_sums(SUMS, [faulty])
    assert len(sign_sums(SUMS, [Faulty(key, good, der)])) == 2
