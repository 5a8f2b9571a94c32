"""Which signatures are enough for a host."""

import base64
import time
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from sealift_bundler.signing import sign_sums, signer_from_key_file
from sealift_manifests.errors import (
    SignatureError,
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

SUMS = b"0" * 64 + b"  manifest.json\n"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@cache
def signer(name: str, tmp):
    """A signer of this name; a name that starts with hsm has a P-384 key."""
    key = ed25519.Ed25519PrivateKey.generate()
    if name.startswith("hsm"):
        key = ec.generate_private_key(ec.SECP384R1())
    path = tmp / name
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    )
    return signer_from_key_file(path, no_passphrase)


def no_passphrase(path):
    raise AssertionError("the key is not encrypted")


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("keys")
    return lambda name: signer(name, tmp)


def allowing(*signers, options="", policy=None):
    lines = [f"{s.public_key.comment} {options} {s.public_key.line}" for s in signers]
    trust = Trust.from_allowed_signers("\n".join(lines), "allowed_signers")
    return Trust.combined([trust], policy or Policy())


def accepted_names(signatures, trust, now=NOW):
    return [a.principal for a in check_signatures(SUMS, signatures, trust, now)]


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
