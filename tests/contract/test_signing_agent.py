"""Signing with a real ssh-agent, and with agents that refuse or talk nonsense."""

import socket
import threading

import pytest
from sealift_bundler import sshagent
from sealift_bundler.keygen import generate_key
from sealift_bundler.signing import (
    sign_sums,
    signer_from_agent,
)
from sealift_manifests.errors import SigningError
from sealift_manifests.sshsig import parse_public_keys, verify_sshsig
from sealift_manifests.trust import NAMESPACE
from signing_programs import KINDS, SUMS, made_by_ssh_keygen, ssh_keygen_verifies, tell


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
