"""Images built in a real engine and taken out of it again, checked part by part."""

import hashlib
import io
import json
import tarfile
import time
import uuid

import pytest
from saved_images import Image, MemoryStore, a_tar, name
from sealift_bundler.compose import parse_stack
from sealift_bundler.engine.build import (
    BuildRequest,
    build_image,
    check_no_secrets,
)
from sealift_bundler.engine.client import open_engine
from sealift_bundler.engine.save import (
    inspect_image,
    save_image,
)
from sealift_bundler.init_template import init_files, static_busybox
from sealift_bundler.spec_load import load_spec
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import (
    EngineError,
    ImageBuildError,
    RevisionError,
    SourceContentError,
)

SECRET = "hf_" + "Sq7" * 12


@pytest.fixture(scope="module")
def engine():
    with open_engine() as client:
        yield client


@pytest.fixture
def build(engine, tmp_path):
    """Build an image FROM scratch with a static busybox; remove it at the end."""
    (tmp_path / "busybox").write_bytes(static_busybox())
    (tmp_path / "token").write_text(SECRET + "\n")
    tags = []

    def build(dockerfile, **changes):
        (tmp_path / "Dockerfile").write_text(
            "FROM scratch\nCOPY --chmod=0755 busybox /busybox\n" + dockerfile
        )
        tag = f"sealift-test-{uuid.uuid4().hex[:12]}:1"
        tags.append(tag)
        lines = []
        request = BuildRequest(tmp_path, tag, "linux/amd64", **changes)
        build_image(request, report=lines.append)
        return tag, lines

    yield build
    for image in engine.images.list():
        for tag in set(image.tags) & set(tags):
            engine.images.remove(tag)


RUN = 'RUN --mount=type=secret,id=tok ["/busybox", "sh", "-c", "%s"]\n'


@pytest.mark.docker
def test_a_built_image_comes_out_whole(build, engine):
    tag, _ = build(RUN % "/busybox echo hello > /file" + "USER 1000\n")
    store = MemoryStore()

    saved = save_image(engine, tag, "linux/amd64", store)

    config = json.loads(saved.config_bytes)
    assert inspect_image(engine, tag).id == saved.config.digest
    assert config["config"]["User"] == "1000"
    assert [layer.diff_id for layer in saved.layers] == config["rootfs"]["diff_ids"]
    for layer in saved.layers:
        data = store.blobs[layer.digest]
        assert (digest_of(data), len(data)) == (layer.digest, layer.size)
        assert (layer.diff_id, layer.diff_size) == (layer.digest, layer.size)
    with tarfile.open(fileobj=io.BytesIO(store.blobs[saved.layers[1].digest])) as tar:
        assert "file" in tar.getnames()


@pytest.mark.docker
def test_the_manifest_of_a_saved_image_is_the_same_every_time(build, engine):
    tag, _ = build("USER 1000\n")

    first = save_image(engine, tag, "linux/amd64", MemoryStore())
    second = save_image(engine, tag, "linux/amd64", MemoryStore())

    assert first == second
    manifest = json.loads(first.manifest_bytes)
    assert manifest["config"]["digest"] == first.config.digest
    assert [x["digest"] for x in manifest["layers"]] == [
        layer.digest for layer in first.layers
    ]


@pytest.mark.docker
def test_a_layer_that_occurs_twice_is_stored_once(engine):
    tag, store = f"sealift-test-{uuid.uuid4().hex[:12]}:1", MemoryStore()
    image = Image(b"one", b"two", b"one", pack=bytes)
    image.files["manifest.json"] = json.dumps(
        [
            {
                "Config": name(image.config),
                "Layers": list(map(name, image.plain)),
                "RepoTags": [tag],
            }
        ]
    ).encode()
    engine.images.load(a_tar(image.files))

    try:
        saved = save_image(engine, tag, "linux/amd64", store)
    finally:
        engine.images.remove(tag)

    one, two, again = saved.layers
    assert one == again
    assert store.blobs.keys() == {one.digest, two.digest}
    assert store.calls == 2


@pytest.mark.docker
def test_an_image_with_several_tags_is_saved_under_any_of_them(build, engine):
    tag, _ = build("USER 1000\n")
    other = tag.replace(":1", ":other")
    engine.images.get(tag).tag(other)

    try:
        saved = [
            save_image(engine, name, "linux/amd64", MemoryStore())
            for name in (tag, other)
        ]
        tags = inspect_image(engine, tag).tags
    finally:
        engine.images.remove(other)

    assert tags == (tag, other)
    assert saved[0].manifest == saved[1].manifest


@pytest.mark.docker
def test_an_image_for_another_platform_is_refused(build, engine):
    tag, _ = build("USER 1000\n")

    with pytest.raises(SourceContentError, match=r"is for linux/amd64.*linux/arm64"):
        save_image(engine, tag, "linux/arm64", MemoryStore())


@pytest.mark.docker
def test_an_image_that_the_engine_lacks_is_told(engine):
    with pytest.raises(RevisionError, match="no image sealift-test-none:1"):
        save_image(engine, "sealift-test-none:1", "linux/amd64", MemoryStore())


@pytest.mark.docker
def test_a_secret_is_used_in_the_build_and_in_no_part_of_the_image(
    build, engine, tmp_path
):
    secrets = {"tok": tmp_path / "token"}
    used = RUN % "/busybox sha256sum /run/secrets/tok > /used"
    store = MemoryStore()

    tag, _ = build(used, secrets=secrets)
    saved = save_image(engine, tag, "linux/amd64", store)

    check_no_secrets(saved.config_bytes, secrets, tag)
    everything = b"".join([saved.config_bytes, *store.blobs.values()])
    assert SECRET.encode() not in everything
    assert hashlib.sha256((SECRET + "\n").encode()).hexdigest().encode() in everything


@pytest.mark.docker
def test_a_secret_that_came_as_an_argument_is_found_in_the_history(
    build, engine, tmp_path
):
    leak = "ARG TOKEN\n" + RUN % "/busybox true"
    tag, _ = build(leak, args={"TOKEN": SECRET})
    saved = save_image(engine, tag, "linux/amd64", MemoryStore())

    with pytest.raises(SourceContentError, match="holds the secret tok") as caught:
        check_no_secrets(saved.config_bytes, {"tok": tmp_path / "token"}, tag)

    assert SECRET not in caught.value.message + caught.value.hint


@pytest.mark.docker
def test_a_failed_build_shows_its_last_lines_and_masks_secrets(build, tmp_path):
    # The pause lets BuildKit pass the output on before it reports the failure.
    bad = RUN % "/busybox cat /run/secrets/tok; /busybox sleep 1; exit 3"

    with pytest.raises(ImageBuildError) as caught:
        build(bad, secrets={"tok": tmp_path / "token"})

    assert "********" in caught.value.message
    assert SECRET not in caught.value.message
    assert len(caught.value.message.splitlines()) <= 31


@pytest.mark.docker
def test_args_target_and_time_reach_the_build(build, engine):
    stages = (
        "FROM scratch AS wanted\nARG WORD\nARG SOURCE_DATE_EPOCH\n"
        "ENV SAID=$WORD TIME=$SOURCE_DATE_EPOCH\n"
        "FROM scratch\nCOPY none /none\n"
    )

    tag, lines = build(stages, args={"WORD": "a b"}, target="wanted", epoch=12345)

    env = engine.images.get(tag).attrs["Config"]["Env"]
    assert {"SAID=a b", "TIME=12345"} <= set(env)
    assert any("building" in line or "naming" in line for line in lines)


@pytest.mark.docker
def test_the_first_bundles_image_serves_its_health_and_the_weights(engine, tmp_path):
    for path, data in init_files("hello", with_image=True).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    spec = load_spec(tmp_path / "sealift.yaml")
    tag = f"sealift-test-{uuid.uuid4().hex[:12]}:1"
    context = spec.images["web"].build.context
    stack = parse_stack(spec.stack, spec.references(), spec.models)

    build_image(BuildRequest(context, tag, spec.platform))
    container = engine.containers.run(
        tag,
        detach=True,
        network_mode="none",
        volumes={str(tmp_path / "models/tiny"): {"bind": "/www/models", "mode": "ro"}},
    )
    try:
        wait_until_healthy(container)
        user = container.exec_run(["/bin/busybox", "id", "-u"]).output
        weights = fetch(container, "models/model.safetensors")
    finally:
        container.remove(force=True)
        engine.images.remove(tag)

    assert user == b"65534\n"
    assert weights == (tmp_path / "models/tiny/model.safetensors").read_bytes()
    assert [(s.image, s.models) for s in stack.services] == [("web", ("tiny",))]


def wait_until_healthy(container):
    deadline = time.monotonic() + 60
    while container.attrs["State"].get("Health", {}).get("Status") != "healthy":
        assert time.monotonic() < deadline, container.attrs["State"]
        time.sleep(0.2)
        container.reload()


def fetch(container, path):
    url = f"http://127.0.0.1:8080/{path}"
    return container.exec_run(["/bin/busybox", "wget", "-q", "-O-", url]).output


def test_an_engine_that_is_not_there_is_told_with_its_address(tmp_path):
    host = f"unix://{tmp_path}/none.sock"

    with (
        pytest.raises(EngineError, match=r"none\.sock") as caught,
        open_engine({"DOCKER_HOST": host}),
    ):
        pass

    assert "Start Docker" in caught.value.hint
