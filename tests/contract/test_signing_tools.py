"""Our signatures and keys, against the real ssh-keygen, openssl and ssh-agent."""

import os
import socket
import stat
import subprocess
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sealift_bundler import sshagent
from sealift_bundler.keygen import GeneratedKey, generate_key
from sealift_bundler.signing import (
    sign_sums,
    signer_from_agent,
    signer_from_key_file,
    signer_name,
)
from sealift_manifests.errors import OutputError, SignatureError, SigningError
from sealift_manifests.sshsig import PublicKey, parse_public_keys, verify_sshsig
from sealift_manifests.trust import NAMESPACE, Trust, check_signatures

SUMS = b"0" * 64 + b"  manifest.json\n"
KINDS = ("ed25519", "p384")
SSH_KEYGEN_TYPE = {"ed25519": ("ed25519", "256"), "p384": ("ecdsa", "384")}


def tell(*argv: object, given: bytes = b"", **extra) -> str:
    """Run a program that must succeed, and return what it says."""
    done = run(*argv, given=given, **extra)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def run(*argv: object, given: bytes = b"", **extra):
    return subprocess.run(
        [str(word) for word in argv],
        input=given,
        capture_output=True,
        timeout=30,
        **extra,
    )


def never_asked(path: Path) -> bytes:
    raise AssertionError(f"a passphrase for {path} was asked for")


@pytest.fixture(params=KINDS)
def ours(request, tmp_path) -> GeneratedKey:
    """A key that Sealift made."""
    return generate_key(tmp_path / "ours", request.param, "release@acme")


@pytest.fixture(params=KINDS)
def theirs(request, tmp_path) -> Path:
    """A key that ssh-keygen made."""
    return made_by_ssh_keygen(tmp_path / "theirs", request.param)


def made_by_ssh_keygen(path: Path, kind: str, passphrase: str = "") -> Path:
    name, bits = SSH_KEYGEN_TYPE[kind]
    tell(
        *("ssh-keygen", "-q", "-t", name, "-b", bits),
        *("-C", "ann@acme", "-N", passphrase, "-f", path),
    )
    return path


@pytest.fixture
def agent(monkeypatch, tmp_path):
    """A real, empty ssh-agent of our own."""
    path = tmp_path / "agent"
    with subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it speaks when the socket is there
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        yield path
        process.terminate()


# What we sign, they verify


def ssh_keygen_verifies(folder: Path, line: str, armored: bytes, message: bytes) -> str:
    (folder / "allowed_signers").write_text(line + "\n")
    (folder / "sums.sig").write_bytes(armored)
    done = run(
        *("ssh-keygen", "-Y", "verify", "-f", folder / "allowed_signers"),
        *("-I", line.split()[0], "-n", NAMESPACE, "-s", folder / "sums.sig"),
        given=message,
    )
    return "good" if done.returncode == 0 else "bad"


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


# Keys


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


# Names of signature files


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


# ssh-agent


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chosen_by", ["file", "fingerprint", "being the only one"])
def test_a_key_in_the_agent_signs_for_all_tools(agent, tmp_path, kind, chosen_by):
    path = made_by_ssh_keygen(tmp_path / "k", kind)
    tell("ssh-add", "-q", path)
    path.unlink()
    (public,) = parse_public_keys(path.with_suffix(".pub").read_text())
    selector = {"file": path.with_suffix(".pub"), "fingerprint": public.fingerprint}

    files = sign_sums(SUMS, [signer_from_agent(selector.get(chosen_by))])

    armored = files["SHA256SUMS.ann-acme.sig"]
    assert verify_sshsig(armored, SUMS, NAMESPACE) == public
    line = f"ann {public.line}"
    assert ssh_keygen_verifies(tmp_path, line, armored, SUMS) == "good"
    if kind == "p384":
        pem = tell("ssh-keygen", "-e", "-m", "PKCS8", "-f", path.with_suffix(".pub"))
        (tmp_path / "pem").write_text(pem)
        (tmp_path / "sig").write_bytes(files["SHA256SUMS.ann-acme.p384.sig"])
        tell(
            *("openssl", "dgst", "-sha384", "-verify", tmp_path / "pem"),
            *("-signature", tmp_path / "sig"),
            given=SUMS,
        )


def test_among_several_keys_in_the_agent_one_must_be_chosen(agent, tmp_path):
    paths = [made_by_ssh_keygen(tmp_path / kind, kind) for kind in KINDS]
    prints = []
    for path in paths:
        tell("ssh-add", "-q", path)
        (key,) = parse_public_keys(path.with_suffix(".pub").read_text())
        prints.append(key.fingerprint)

    with pytest.raises(SigningError, match="holds 2 usable keys") as caught:
        signer_from_agent()

    assert all(fingerprint in caught.value.message for fingerprint in prints)
    assert signer_from_agent(prints[1]).public_key.fingerprint == prints[1]


def test_keys_of_other_types_in_the_agent_are_passed_over(agent, tmp_path):
    tell("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", tmp_path / "r")
    tell("ssh-add", "-q", tmp_path / "r")

    with pytest.raises(SigningError, match="no usable key"):
        signer_from_agent()
    tell("ssh-add", "-q", made_by_ssh_keygen(tmp_path / "k", "ed25519"))
    assert signer_from_agent().public_key.comment == "ann@acme"


def test_a_key_that_the_agent_does_not_hold_is_told(agent, tmp_path):
    key = generate_key(tmp_path / "k", "ed25519", "release")

    with pytest.raises(SigningError, match="does not hold the key SHA256:"):
        signer_from_agent(key.public)
    with pytest.raises(SigningError, match="does not hold an Ed25519"):
        signer_from_agent()


def test_an_agent_that_refuses_is_told(agent, tmp_path):
    path = made_by_ssh_keygen(tmp_path / "k", "ed25519")
    tell("ssh-add", "-q", path)
    signer = signer_from_agent()
    tell("ssh-add", "-q", "-D")

    with pytest.raises(SigningError, match="refused to sign"):
        signer.sshsig(SUMS)


def test_more_than_an_agent_takes_is_refused_before_it_is_asked(agent, tmp_path):
    tell("ssh-add", "-q", made_by_ssh_keygen(tmp_path / "k", "p384"))
    signer = signer_from_agent()

    assert signer.sshsig(bytes(300_000))
    assert signer.der(bytes(200 * 1024))
    with pytest.raises(SigningError, match="too many for an ssh-agent"):
        signer.der(bytes(200 * 1024 + 1))


def test_a_public_key_file_that_selects_nothing_is_told(agent, tmp_path):
    (tmp_path / "two.pub").write_text(
        "".join(generate_key(tmp_path / n).public.read_text() for n in "ab")
    )

    with pytest.raises(SigningError, match="not a usable public key file"):
        signer_from_agent(tmp_path / "none.pub")
    with pytest.raises(SigningError, match="holds 2 keys"):
        signer_from_agent(tmp_path / "two.pub")


def test_no_agent_is_told(monkeypatch, tmp_path):
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(SigningError, match="SSH_AUTH_SOCK is not set"):
        signer_from_agent()

    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "none"))
    with pytest.raises(SigningError, match="No such file"):
        signer_from_agent()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed the connection"),
        (b"\0\0\0\5\x0c", "closed the connection"),
        (b"\xff\xff\xff\xff", "4294967295 bytes"),
        (b"\0\0\0\1\5", "refused to list"),
        (b"\0\0\0\1\x0c", "malformed"),
        (b"\0\0\0\5\x0c\xff\xff\xff\xff", "malformed"),
        (b"\0\0\0\6\x0c\0\0\0\0x", "malformed"),
        (None, "did not answer within 1 seconds"),
    ],
)
def test_an_agent_that_talks_nonsense_or_nothing_is_told(
    monkeypatch, tmp_path, answer, words
):
    """The real agent never does this; a broken or hostile one may."""
    monkeypatch.setattr(sshagent, "LIST_SECONDS", 0.6)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent"))
        listener.listen()
        done = threading.Event()

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                if answer is None:
                    done.wait(10)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=talk)
        thread.start()

        with pytest.raises(SigningError, match=words):
            signer_from_agent()

        done.set()
        thread.join()
