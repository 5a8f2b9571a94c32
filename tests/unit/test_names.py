"""Names that both sides derive from the same facts."""

import re

import pytest
from sealift_manifests.digests import digest_of
from sealift_manifests.names import project_name, volume_name
from sealift_manifests.references import qualify, read_reference, unique_reference

DIGEST = digest_of(b"manifest")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("redis", "docker.io/library/redis:latest"),
        ("redis:7", "docker.io/library/redis:7"),
        ("vllm/vllm-openai:v1", "docker.io/vllm/vllm-openai:v1"),
        ("docker.io/redis:7", "docker.io/library/redis:7"),
        ("index.docker.io/a/b:1", "docker.io/a/b:1"),
        ("localhost/a:1", "localhost/a:1"),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest"),
        (f"redis@{DIGEST}", f"docker.io/library/redis@{DIGEST}"),
        (f"redis:7@{DIGEST}", f"docker.io/library/redis:7@{DIGEST}"),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(written, meant):
    assert qualify(written) == meant


@pytest.mark.parametrize(
    "text", ["", "Redis", "a b", "a:", "a:b:c", "a@sha256:12", "a//b", "-a", "a/", "/a"]
)
def test_what_docker_refuses_is_no_reference(text):
    with pytest.raises(ValueError):
        read_reference(text)


def test_a_unique_reference_keeps_the_tag_and_adds_the_digest():
    assert (
        unique_reference("vllm/vllm-openai:v0.11.0", DIGEST)
        == f"docker.io/vllm/vllm-openai:v0.11.0-{DIGEST.short}"
    )


def test_a_pinned_reference_loses_its_digest_since_engines_forget_it():
    named = unique_reference(f"redis@{digest_of(b'index')}", DIGEST)

    assert named == f"docker.io/library/redis:pinned-{DIGEST.short}"


def test_a_long_tag_is_cut_and_stays_unique():
    named = unique_reference("a:" + "t" * 128, DIGEST)

    assert len(read_reference(named).tag) == 128
    assert named.endswith(DIGEST.short)


def test_volumes_and_projects_carry_the_bundles_name():
    assert volume_name("acme", "chat", DIGEST) == f"sealift.acme.chat.{DIGEST.short}"
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", project_name("acme_1"))
