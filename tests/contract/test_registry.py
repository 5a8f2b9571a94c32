"""Images are found in a real docker-registry, by tag, digest, platform and login."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest
from registries import (
    PASSWORD,
    USER,
    descriptor,
    make_image,
    make_index,
    make_layer,
    running_registry,
    sha256,
)
from registry_client import QUICK, find
from registry_fronts import Answer, Seen, TokenRealm, asked_scope, running_front
from sealift_bundler.registry import fetch
from sealift_manifests.errors import (
    RevisionError,
    SourceContentError,
    SourceUnreachableError,
)

LAYERS = [make_layer({"a": b"first"}), make_layer({"b": b"second"}, gzipped=False)]
AMD = make_image(LAYERS)
ARM = make_image(LAYERS[:1], architecture="arm64")
BOTH = {"linux/amd64": AMD, "linux/arm64/v8": ARM}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def registry(storage: Path):
    with running_registry(storage) as running:
        running.push_image("app:1", AMD)
        running.push_image("old:1", make_image(LAYERS, docker=True))
        running.push_index("multi:1", BOTH, make_index(BOTH, attested=True))
        yield running


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the logins of the machine it runs on."""
    directory = tmp_path / "docker"
    directory.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    return directory / "config.json"


@pytest.mark.parametrize("name", ["app", "old"])
def test_an_image_is_found_by_tag_and_by_digest_as_the_same_bytes(registry, name):
    by_tag = find(registry.host, f"{name}:1")
    by_digest = find(registry.host, f"{name}@{by_tag.manifest_digest}")

    assert by_tag.manifest == by_digest.manifest
    assert by_tag.manifest_digest == sha256(by_tag.manifest)
    assert by_tag.index_digest is None
    assert sha256(by_tag.config_bytes) == by_tag.config.digest


def test_what_is_fetched_is_the_config_and_every_layer(registry, tmp_path):
    resolved = find(registry.host, "app:1")
    calls: list[int] = []

    paths = fetch(resolved, tmp_path, calls.append, policy=QUICK)

    wanted = [AMD.config, *(layer.data for layer in LAYERS)]
    assert {paths[sha256(x)].read_bytes() for x in wanted} == set(wanted)
    assert sorted(tmp_path.joinpath("sha256").iterdir()) == sorted(paths.values())
    assert calls[-1] == resolved.size == sum(map(len, wanted))


@pytest.mark.parametrize(
    ("platform", "image"),
    [("linux/amd64", AMD), ("linux/arm64", ARM), ("linux/arm64/v8", ARM)],
)
def test_an_index_leads_to_the_platform_and_past_the_attestation(
    registry, platform, image
):
    resolved = find(registry.host, "multi:1", platform)

    assert resolved.manifest == image.manifest
    assert resolved.index_digest == sha256(make_index(BOTH, attested=True))


def test_a_missing_platform_is_named_with_those_that_are_there(registry):
    with pytest.raises(
        RevisionError, match=r"linux/s390x.*linux/amd64, linux/arm64/v8"
    ):
        find(registry.host, "multi:1", "linux/s390x")


def test_a_single_image_of_another_platform_is_refused(registry):
    with pytest.raises(RevisionError, match=r"linux/arm64; there is: linux/amd64"):
        find(registry.host, "app:1", "linux/arm64")


@pytest.mark.parametrize("name", ["app:2", "nobody/has:1", f"app@sha256:{'0' * 64}"])
def test_what_the_registry_does_not_have_is_an_unknown_revision(registry, name):
    with pytest.raises(RevisionError):
        find(registry.host, name)


def test_a_registry_that_is_not_there_is_said_to_be_unreachable():
    with pytest.raises(SourceUnreachableError, match=r"127\.0\.0\.1:9 .*3 tries"):
        find("127.0.0.1:9", "x:1")


def serving(documents: dict[str, bytes]):
    """A registry of a few documents, by what their path ends in."""

    def handle(request: Seen) -> Answer:
        name = request.path.rpartition("/")[2]
        return Answer(200 if name in documents else 404, {}, documents.get(name, b""))

    return running_front(handle)


def refused(documents: dict[str, bytes], why: str) -> None:
    with serving(documents) as front, pytest.raises(SourceContentError, match=why):
        find(front.host, "x:1")


def test_a_manifest_that_gives_one_blob_two_sizes_is_refused():
    manifest = json.loads(AMD.manifest)
    manifest["layers"].append(manifest["layers"][0] | {"size": 1})

    refused({"1": json.dumps(manifest).encode()}, "two sizes")


def test_an_index_that_is_wrong_about_its_manifest_is_refused():
    index = make_index({"linux/amd64": AMD}).replace(b'"size": ', b'"size": 1')

    refused({"1": index, AMD.digest: AMD.manifest}, "wrong bytes")


def test_an_index_that_calls_another_index_an_image_is_refused():
    inner = make_index({"linux/amd64": AMD})
    entry = descriptor(inner, AMD.media_type)
    entry["platform"] = {"os": "linux", "architecture": "amd64"}
    outer = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()

    refused({"1": outer, sha256(inner): inner}, "index inside an index")


def test_documents_have_a_largest_size():
    manifest = json.loads(AMD.manifest)
    manifest["config"]["size"] = 1 << 30

    refused({"1": AMD.manifest + b" " * (4 << 20)}, "larger than the 4194304")
    refused({"1": json.dumps(manifest).encode()}, "larger than the 8388608")


def test_skopeo_sees_the_digest_that_we_see(registry, tmp_path):
    for name in ("app:1", "old:1", "multi:1"):
        resolved = find(registry.host, name)
        source = f"docker://{registry.host}/{name}"
        raw = run_skopeo("inspect", "--tls-verify=false", "--raw", source)

        assert sha256(raw) == (resolved.index_digest or resolved.manifest_digest)


def test_skopeo_copies_the_same_manifest_and_blobs(registry, tmp_path):
    resolved = find(registry.host, "old:1")
    ours = fetch(resolved, tmp_path / "ours", policy=QUICK)

    run_skopeo(
        *("copy", "--preserve-digests", "--src-tls-verify=false"),
        f"docker://{registry.host}/old:1",
        f"oci:{tmp_path / 'theirs'}:x",
    )

    theirs = tmp_path / "theirs" / "blobs" / "sha256"
    index = json.loads((tmp_path / "theirs" / "index.json").read_bytes())
    assert index["manifests"][0]["digest"] == resolved.manifest_digest
    expected = {digest.hex for digest in ours} | {resolved.manifest_digest.hex}
    assert {path.name for path in theirs.iterdir()} == expected


def run_skopeo(*args: str) -> bytes:
    done = subprocess.run(["skopeo", *args], check=True, capture_output=True)
    return done.stdout


@pytest.fixture(scope="module")
def guarded(registry, storage):
    """The same images behind a password."""
    with running_registry(storage, htpasswd=True) as running:
        yield running


def log_in(path: Path, host: str, password: str = PASSWORD) -> None:
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {host: {"auth": auth}}}))


def test_the_login_in_dockers_config_opens_a_guarded_registry(
    guarded, docker_config, tmp_path
):
    log_in(docker_config, guarded.host)

    resolved = find(guarded.host, "app:1")

    assert resolved.manifest == AMD.manifest
    assert len(fetch(resolved, tmp_path, policy=QUICK)) == 3


def test_a_credential_helper_opens_a_guarded_registry(
    guarded, docker_config, tmp_path, monkeypatch
):
    answer = json.dumps({"Username": USER, "Secret": PASSWORD})
    helper = tmp_path / "docker-credential-safe"
    helper.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = get ] && [ "$(cat)" = {guarded.host} ] && echo \'{answer}\'\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    docker_config.write_text(json.dumps({"credHelpers": {guarded.host: "safe"}}))

    assert find(guarded.host, "app:1").manifest == AMD.manifest


@pytest.mark.parametrize("password", [None, "wrong pony"])
def test_no_login_or_a_wrong_one_says_how_to_log_in_and_no_secret(
    guarded, docker_config, password
):
    if password:
        log_in(docker_config, guarded.host, password)

    with pytest.raises(SourceUnreachableError, match="401") as caught:
        find(guarded.host, "app:1")

    assert f"docker login {guarded.host}" in caught.value.hint
    assert "pony" not in str(caught.value) + caught.value.hint


def realm_of(realm: TokenRealm, *, identity: str | None = None):
    """Serve tokens to those who log in, or who show the identity token."""
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def handle(request: Seen) -> Answer:
        if identity is not None:
            known = f"refresh_token={identity}" in request.body.decode()
        else:
            known = request.headers.get("Authorization") == expected
        return realm.answer(asked_scope(request)) if known else Answer(401)

    return running_front(handle)


def test_a_token_server_is_asked_with_the_login_for_one_repository(
    registry, storage, docker_config, tmp_path
):
    realm = TokenRealm(tmp_path)
    with (
        realm_of(realm) as front,
        running_registry(storage, token=realm.settings(front.host)) as running,
    ):
        log_in(docker_config, running.host)
        resolved = find(running.host, "app:1")
        fetch(resolved, tmp_path, policy=QUICK)

    assert resolved.manifest == AMD.manifest
    assert {asked_scope(request) for request in front.seen} == {"repository:app:pull"}
    assert len(front.seen) == 2, "one token to resolve, one shared by all threads"


def test_an_identity_token_is_exchanged_by_post(
    registry, storage, docker_config, tmp_path
):
    realm = TokenRealm(tmp_path)
    with (
        realm_of(realm, identity="long-lived") as front,
        running_registry(storage, token=realm.settings(front.host)) as running,
    ):
        entry = {"identitytoken": "long-lived"}
        docker_config.write_text(json.dumps({"auths": {running.host: entry}}))
        resolved = find(running.host, "app:1")

    assert resolved.manifest == AMD.manifest
    assert {request.method for request in front.seen} == {"POST"}
    assert not any("long-lived" in request.path for request in front.seen)


def test_a_token_that_is_never_good_enough_is_not_asked_for_again_and_again(
    registry, storage, tmp_path
):
    realm = TokenRealm(tmp_path, seconds=-5)
    with (
        running_front(lambda request: realm.answer(asked_scope(request))) as front,
        running_registry(storage, token=realm.settings(front.host)) as running,
        pytest.raises(SourceUnreachableError, match="401"),
    ):
        find(running.host, "app:1")

    assert len(front.seen) == 1


def test_a_refused_login_at_the_token_server_says_how_to_log_in(
    registry, storage, docker_config, tmp_path
):
    realm = TokenRealm(tmp_path)
    with (
        realm_of(realm) as front,
        running_registry(storage, token=realm.settings(front.host)) as running,
        pytest.raises(SourceUnreachableError, match="refused the login") as caught,
    ):
        find(running.host, "app:1")

    assert "docker login" in caught.value.hint
