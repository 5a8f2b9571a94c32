"""Key files: ours are keys to ssh-keygen, and its keys open for us."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sealift_bundler.keygen import generate_key
from sealift_bundler.signing import (
    sign_sums,
    signer_from_key_file,
)
from sealift_manifests.errors import OutputError, SigningError
from sealift_manifests.sshsig import verify_sshsig
from sealift_manifests.trust import NAMESPACE, Trust, check_signatures
from signing_programs import KINDS, SUMS, made_by_ssh_keygen, never_asked, tell


def test_the_keys_we_make_are_keys_to_ssh_keygen(ours):
    listed = tell("ssh-keygen", "-l", "-f", ours.public).split()
    derived = tell("ssh-keygen", "-y", "-f", ours.private)

    assert listed[1:3] == [ours.fingerprint, "release@acme"]
    assert derived.split()[:2] == ours.public_key.line.split()
    assert stat.S_IMODE(ours.private.stat().st_mode) == 0o600


def test_the_line_for_allowed_signers_makes_a_host_trust_the_key(ours):
    files = sign_sums(SUMS, [signer_from_key_file(ours.private, never_asked)])
    trust = Trust.from_allowed_signers(ours.allowed_signers_line, "allowed_signers")

    (accepted,) = check_signatures(SUMS, files, trust, datetime.now(UTC))

    assert accepted.principal == "release@acme"
    assert accepted.file == "SHA256SUMS.release-acme.sig"


def test_only_a_p384_key_has_a_pem_file_for_openssl(ours):
    beside = sorted(path.name for path in ours.private.parent.iterdir())

    if ours.public_key.algorithm == "ssh-ed25519":
        assert beside == ["ours", "ours.pub"]
        assert ours.pem is None
    else:
        assert beside == ["ours", "ours.pem", "ours.pub"]


@pytest.mark.parametrize("taken", ["k", "k.pub", "k.pem"])
def test_no_file_is_overwritten_and_none_left_behind(tmp_path, taken):
    (tmp_path / taken).write_text("precious")

    with pytest.raises(OutputError, match=taken):
        generate_key(tmp_path / "k", "p384", "release")

    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "precious"


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        generate_key(tmp_path / "none" / "k", "ed25519", "release")


def test_another_kind_of_key_is_not_made(tmp_path):
    with pytest.raises(SigningError, match="'rsa'"):
        generate_key(tmp_path / "k", "rsa", "release")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("maker", ["ours", "theirs"])
def test_an_encrypted_key_opens_with_its_passphrase_only(tmp_path, kind, maker):
    path = tmp_path / "k"
    if maker == "ours":
        generate_key(path, kind, "ann@acme", b"open sesame")
    else:
        made_by_ssh_keygen(path, kind, "open sesame")
    asked: list[Path] = []

    def ask(key: Path) -> bytes:
        asked.append(key)
        return b"open sesame"

    signer = signer_from_key_file(path, ask)

    assert asked == [path]
    assert verify_sshsig(signer.sshsig(SUMS), SUMS, NAMESPACE) == signer.public_key
    assert tell("ssh-keygen", "-y", "-P", "open sesame", "-f", path)
    with pytest.raises(SigningError, match="passphrase is wrong"):
        signer_from_key_file(path, lambda key: b"open barley")
    with pytest.raises(SigningError, match="no passphrase was given"):
        signer_from_key_file(path, lambda key: b"")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-t", "rsa", "-b", "2048"), "no Ed25519 or ECDSA P-384 key"),
        (("-t", "ecdsa", "-b", "256"), "secp256r1"),
        (("-t", "ecdsa", "-b", "384", "-m", "PEM"), "not an OpenSSH private key"),
    ],
)
def test_a_key_of_another_type_is_refused_as_such(tmp_path, options, words):
    path = tmp_path / "k"
    tell("ssh-keygen", "-q", *options, "-N", "", "-f", path)

    with pytest.raises(SigningError, match=words):
        signer_from_key_file(path, never_asked)


def test_a_key_file_that_others_can_read_is_refused(ours):
    ours.private.chmod(0o640)

    with pytest.raises(SigningError, match="read by others") as caught:
        signer_from_key_file(ours.private, never_asked)

    assert f"chmod 600 {ours.private}" in caught.value.hint


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("missing", "No such file"),
        ("folder", "Is a directory"),
        ("pipe", "it is not a file"),
        ("public", "not an OpenSSH private key"),
        ("empty", "not an OpenSSH private key"),
    ],
)
def test_what_is_no_private_key_file_is_refused(tmp_path, what, words):
    path = tmp_path / "k"
    if what == "folder":
        path.mkdir(mode=0o700)
    elif what == "pipe":
        os.mkfifo(path, 0o600)
    elif what == "public":
        path.write_text(generate_key(tmp_path / "o").public.read_text())
        path.chmod(0o600)
    elif what == "empty":
        path.touch(0o600)

    with pytest.raises(SigningError, match=words):
        signer_from_key_file(path, never_asked)
