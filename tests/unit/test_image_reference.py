"""Image references mean what Docker takes them to mean."""

import pytest
from sealift_manifests.digests import Digest
from sealift_manifests.errors import SpecError
from sealift_manifests.references import ImageReference, parse_reference

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "qualified"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("vllm/vllm-openai:v0.9", "docker.io/vllm/vllm-openai:v0.9"),
        ("docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("index.docker.io/library/nginx:1", "docker.io/library/nginx:1"),
        ("localhost/x:1", "localhost/x:1"),
        ("localhost:5000/x", "localhost:5000/x"),
        ("localhost:5000/a/b/c:1", "localhost:5000/a/b/c:1"),
        ("nvcr.io/nim/meta/llama:1.8", "nvcr.io/nim/meta/llama:1.8"),
        ("host:443/x:1", "host:443/x:1"),
        ("[::1]:5000/x:1", "[::1]:5000/x:1"),
        ("UPPER/x:1", "UPPER/x:1"),
        (f"ghcr.io/o/x@{DIGEST}", f"ghcr.io/o/x@{DIGEST}"),
        (f"x:1@{DIGEST}", f"docker.io/library/x:1@{DIGEST}"),
        ("a__b/c---d.e_f:T.a-g_1", "docker.io/a__b/c---d.e_f:T.a-g_1"),
    ],
)
def test_a_name_is_completed_the_way_docker_does(text, qualified):
    reference = parse_reference(text)

    assert reference.qualified == qualified
    assert parse_reference(reference.qualified) == reference
    assert parse_reference(reference.familiar) == reference


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("docker.io/library/nginx:1", "nginx:1"),
        ("docker.io/vllm/vllm-openai:v1", "vllm/vllm-openai:v1"),
        ("localhost:5000/library/x:1", "localhost:5000/library/x:1"),
        ("docker.io/library/sub/x:1", "library/sub/x:1"),
        ("docker.io/foo.bar/x:1", "docker.io/foo.bar/x:1"),
        ("docker.io/library/localhost/x:1", "library/localhost/x:1"),
    ],
)
def test_the_familiar_name_is_short_and_still_means_the_same(text, familiar):
    reference = parse_reference(text)

    assert reference.familiar == familiar
    assert parse_reference(familiar) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "/x",
        "x/",
        "a//b",
        "Nginx:1",
        "docker.io/Nginx",
        "x:",
        "x:" + "t" * 129,
        "x:a b",
        "x:1:2",
        "x@",
        "x@sha256:abc",
        "x@sha512:" + "ab" * 64,
        "x@md5:" + "ab" * 16,
        "-x/y",
        "x\n",
        "x:1\n",
        "http://host/x:1",
        "user@host/x:1",
        "host:port/x:1",
        "ab" * 32,
        "a/" * 128 + "a",
        "../x",
        "x:v\u0661",
    ],
)
def test_what_is_no_reference_is_refused_with_the_form_it_should_have(text):
    with pytest.raises(SpecError) as caught:
        parse_reference(text)

    assert "NAME:TAG" in caught.value.hint


def test_only_a_digest_pins():
    assert parse_reference(f"x@{DIGEST}").is_pinned
    assert parse_reference(f"x:latest@{DIGEST}").is_pinned
    assert not parse_reference("x:1.2.3").is_pinned


def test_latest_is_latest_said_or_not_unless_pinned():
    assert parse_reference("x").is_latest
    assert parse_reference("x:latest").is_latest
    assert not parse_reference("x:1").is_latest
    assert not parse_reference(f"x@{DIGEST}").is_latest
    assert not parse_reference(f"x:latest@{DIGEST}").is_latest


def test_a_registry_is_asked_for_the_digest_before_the_tag():
    assert parse_reference(f"x:1@{DIGEST}").wanted == DIGEST
    assert parse_reference("x:1").wanted == "1"
    assert parse_reference("x").wanted == "latest"


def test_pinning_keeps_the_name_and_the_tag():
    pinned = parse_reference("x:1").pinned_to(Digest(DIGEST))

    assert pinned.familiar == f"x:1@{DIGEST}"


def test_a_reference_that_exists_is_valid():
    with pytest.raises(ValueError, match="not a repository"):
        ImageReference("docker.io", "../../etc")
    with pytest.raises(ValueError, match="not a registry"):
        ImageReference("evil.example/../x", "x")
    with pytest.raises(ValueError, match="not a tag"):
        ImageReference("docker.io", "x", tag="a/b")
