"""Names of Ollama models mean what they mean to Ollama, and one thing only."""

from __future__ import annotations

import json

import pytest
from ollama_models import KIND, make_model
from registries import DOCKER_CONFIG, descriptor
from sealift_bundler.ollama.documents import parse_manifest
from sealift_bundler.ollama.names import read_name
from sealift_manifests.errors import SourceContentError


@pytest.mark.parametrize(
    ("written", "path", "familiar"),
    [
        (
            "llama3.2:1b",
            "manifests/registry.ollama.ai/library/llama3.2/1b",
            "llama3.2:1b",
        ),
        (
            "library/llama3.2:1b",
            "manifests/registry.ollama.ai/library/llama3.2/1b",
            "llama3.2:1b",
        ),
        (
            "acme/chat:q4_K_M",
            "manifests/registry.ollama.ai/acme/chat/q4_K_M",
            "acme/chat:q4_K_M",
        ),
        (
            "hf.co/Org/Repo-1B-GGUF:Q4_K_M",
            "manifests/hf.co/Org/Repo-1B-GGUF/Q4_K_M",
            "hf.co/Org/Repo-1B-GGUF:Q4_K_M",
        ),
        (
            "localhost:5000/a/b:1",
            "manifests/localhost:5000/a/b/1",
            "localhost:5000/a/b:1",
        ),
    ],
)
def test_a_name_is_filled_in_as_ollama_does(written, path, familiar):
    name = read_name(written)

    assert name.manifest_path == path
    assert name.familiar == familiar


@pytest.mark.parametrize(
    "written",
    [
        *("llama3.2", "llama3.2:latest", "localhost:5000/a/b", "a/b/c/d:1", ":1", ""),
        *("../x:1", "a/..:1", "a b:1", "m:../x", "http://h/a/b:1", "-host/a/b:1"),
    ],
)
def test_a_name_that_may_mean_two_things_or_leads_elsewhere_is_refused(written):
    with pytest.raises(ValueError, match=r"name a tag|part|registry host"):
        read_name(written)


def manifest(**changes: object) -> bytes:
    return json.dumps({**json.loads(make_model("m").manifest), **changes}).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "is not JSON"),
        (manifest(layers=[]), "has no weights"),
        (
            manifest(layers=[descriptor(b"x", f"{KIND}.template")]),
            "served elsewhere",
        ),
        (manifest(config=descriptor(b"x", "text/plain")), "config has the unknown"),
        (
            manifest(layers=[descriptor(b"x", "application/vnd.oci.image.layer")]),
            "layer of the unknown kind",
        ),
        (
            manifest(
                layers=[
                    descriptor(b"x", f"{KIND}.model"),
                    {**descriptor(b"x", f"{KIND}.license"), "size": 2},
                ]
            ),
            "has two sizes",
        ),
        (manifest(config={"mediaType": DOCKER_CONFIG, "size": 1}), "sha256"),
    ],
)
def test_a_manifest_of_what_ollama_cannot_serve_offline_is_refused(data, words):
    with pytest.raises(SourceContentError, match=words):
        parse_manifest(data, read_name("m:1"))
