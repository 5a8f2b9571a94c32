"""The files that say whom a host trusts: allowed_signers, keys, the policy."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)
from sealift_bundler.signing import sign_sums
from sealift_manifests.errors import (
    TrustStoreError,
    UntrustedKeyError,
)
from sealift_manifests.sshwire import put_string, put_u32
from sealift_manifests.trust import (
    Policy,
    Trust,
    check_signatures,
    companion_file,
    is_signature_file,
    parse_allowed_signers,
    parse_policy,
    signature_file,
)
from trust_cases import NOW, SUMS, accepted_names, allowing


def test_an_allowed_signers_file_is_read_as_openssh_reads_it(make):
    a, hsm = make("a").public_key, make("hsm").public_key
    text = (
        "# comment\n\n"
        f'   "release team,ops@acme" namespaces="x y,z" {a.line} laptop of Ann\r\n'
        f"*@acme.example\t{hsm.line}"
    )

    first, second = parse_allowed_signers(text, "f")

    assert first.principals == ("release team", "ops@acme")
    assert first.namespaces == ("x y", "z")
    assert first.key == a
    assert second.principals == ("*@acme.example",)
    assert second.key == hsm
    assert second.namespaces == ()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("r cert-authority {key}", "certificate authorities"),
        ('r cert-authority,namespaces="x" {key}', "certificate authorities"),
        ("r verify-required {key}", "option verify-required is not known"),
        ("r namespaces {key}", "needs a value"),
        ('r namespaces="" {key}', "needs a value"),
        ('r namespaces="," {key}', "needs a value"),
        ("r namespaces=x {key}", "cannot be read"),
        ('r namespaces="x", {key}', "cannot be read"),
        ('r namespaces="x",namespaces="y" {key}', "given twice"),
        ('r valid-after="tomorrow" {key}', "not a time"),
        ('r valid-after="20261301" {key}', "does not exist"),
        ('r valid-after="2026" {key}', "not a time"),
        ('r valid-after="20270101Z",valid-before="20260101Z" {key}', "not later"),
        ("{key}", "no key|is not"),
        ("r", "names of a signer"),
        ("r {broken}", "base64"),
        ('"r {key}', "names of a signer"),
        ("r,,s {key}", "name is empty"),
        ("r ssh-rsa {body}", "not of type 'ssh-rsa'"),
        ("r ssh-ed25519 {neutral}", "small order"),
    ],
)
def test_a_line_that_is_not_understood_is_refused_by_file_and_number(make, line, words):
    key = make("release").public_key.line
    text = line.format(
        key=key,
        broken=key[:-1],
        body=key.split()[1],
        neutral="AAAAC3NzaC1lZDI1NTE5AAAAIAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    )

    with pytest.raises(TrustStoreError, match=words) as caught:
        parse_allowed_signers(f"# first\n{text}\n", "/etc/sealift/allowed_signers")

    assert caught.value.message.startswith("/etc/sealift/allowed_signers, line 2: ")


def test_a_key_of_another_type_does_not_break_the_file_and_is_remembered(make):
    release = make("release")
    public = rsa.generate_private_key(65537, 2048).public_key()
    line = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    text = f"old {line}\nnew {release.public_key.line}"

    trust = Trust.from_allowed_signers(text, "allowed_signers")

    assert [s.name for s in trust.signers] == ["new"]
    assert [(k.where, k.key_type) for k in trust.skipped] == [
        ("allowed_signers, line 1", "ssh-rsa")
    ]
    assert accepted_names(sign_sums(SUMS, [release]), trust) == ["new"]


@pytest.mark.parametrize(
    "text", ["", "-----BEGIN OPENSSH PRIVATE KEY-----\nx", "ssh-rsa AAAA", "hello"]
)
def test_a_key_file_that_holds_no_usable_key_is_refused_by_name(text):
    with pytest.raises(TrustStoreError, match=r"release\.pub is not"):
        Trust.from_key_file(text, "release.pub")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SHA256:",
        "MD5:00:11",
        "A" * 43,
        "SHA256:" + "A" * 44,
        "SHA256:" + "A" * 42 + "B",
    ],
)
def test_what_is_no_fingerprint_is_refused(text):
    with pytest.raises(TrustStoreError, match="not a fingerprint"):
        Trust.from_fingerprints([text])


def test_a_policy_is_read_and_what_it_leaves_out_has_a_default():
    assert parse_policy("{}") == Policy()
    assert parse_policy('{"threshold": 2, "algorithms": ["ssh-ed25519"]}') == Policy(
        2, ("ssh-ed25519",)
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "1",
        '{"treshold": 2}',
        '{"threshold": 0}',
        '{"threshold": true}',
        '{"threshold": 1.5}',
        '{"threshold": "2"}',
        '{"threshold": 2, "threshold": 1}',
        '{"algorithms": []}',
        '{"algorithms": "ssh-ed25519"}',
        '{"algorithms": ["ssh-rsa"]}',
        '{"algorithms": [["ssh-ed25519"]]}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:30],
)
def test_a_policy_that_is_not_understood_is_refused(text):
    with pytest.raises(TrustStoreError, match=r"policy\.json cannot be used"):
        parse_policy(text, "policy.json")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SHA256SUMS.release.sig", True),
        ("SHA256SUMS.release.p384.sig", True),
        ("SHA256SUMS.sig", False),
        ("SHA256SUMS", False),
        ("SHA256SUMS.a/b.sig", False),
        ("SHA256SUMS.a\n.sig", False),
        ("SHA256SUMS.a.sig\n", False),
    ],
)
def test_signature_files_are_known_by_name(name, expected):
    assert is_signature_file(name) is expected


@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_signature_of_a_type_that_cannot_be_verified_is_told_as_such(
    make, is_allowed
):
    token = put_string(b"sk-ssh-ed25519@openssh.com") + put_string(bytes(32))
    fields = (token, b"sealift-bundle@v1", b"", b"sha512", b"")
    blob = b"SSHSIG" + put_u32(1) + b"".join(map(put_string, fields))
    armored = b"\n".join(
        [
            b"-----BEGIN SSH SIGNATURE-----",
            base64.b64encode(blob),
            b"-----END SSH SIGNATURE-----",
        ]
    )
    line = f"ann sk-ssh-ed25519@openssh.com {base64.b64encode(token).decode()}"
    text = f"{line if is_allowed else '#'}\nr {make('release').public_key.line}"
    trust = Trust.from_allowed_signers(text, "signers")

    with pytest.raises(UntrustedKeyError, match="Sealift cannot verify") as caught:
        check_signatures(SUMS, {signature_file("x"): armored}, trust, NOW)

    assert ("allowed in signers, line 1" in caught.value.message) is is_allowed


def test_a_file_for_openssl_beside_an_ed25519_signature_is_another_keys_affair(make):
    release = make("release")
    signatures = {**sign_sums(SUMS, [release]), companion_file("release"): b"any"}

    assert accepted_names(signatures, allowing(release)) == ["release"]
