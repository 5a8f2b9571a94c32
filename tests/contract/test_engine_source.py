"""Images built in the engine and taken out of it again, checked part by part.

The engine here is real. Archives of other kinds of engines are put together by
hand, from what those engines write.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
import time
import uuid

import pytest
import zstandard
from sealift_bundler.compose import parse_stack
from sealift_bundler.engine.archive import (
    MAX_JSON,
    LayerReader,
    members_of,
    read_archive,
)
from sealift_bundler.engine.build import (
    Builder,
    BuildRequest,
    build_command,
    build_image,
    check_no_secrets,
    find_builder,
)
from sealift_bundler.engine.client import open_engine
from sealift_bundler.engine.save import (
    EngineImage,
    inspect_image,
    make_manifest,
    save_image,
    understand,
)
from sealift_bundler.init_template import init_files, static_busybox
from sealift_bundler.spec_load import load_spec
from sealift_manifests.digests import digest_of, from_hex
from sealift_manifests.errors import (
    EngineError,
    ImageBuildError,
    RevisionError,
    SourceContentError,
)

SECRET = "hf_" + "Sq7" * 12
EXAMPLE = "example/app:1"


class MemoryStore:
    """Keeps what it is given, and how often it was asked."""

    def __init__(self):
        self.blobs = {}
        self.calls = 0

    def __call__(self, stream):
        data = b"".join(iter(lambda: stream.read(1 << 16), b""))
        self.calls += 1
        self.blobs[digest_of(data)] = data
        return digest_of(data), len(data)


# The real engine


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


# Which docker command builds


def a_docker(folder, body):
    folder.mkdir()
    (folder / "docker").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "docker").chmod(0o755)
    return str(folder)


PLAIN = 'test "$1" = --version && echo "Docker version %s, build x"'
BUILDX = 'test "$1" = buildx && echo "github.com/docker/buildx v0.29.1"'


def test_buildx_is_preferred_wherever_it_is_on_the_path(tmp_path):
    path = [
        a_docker(tmp_path / "old", PLAIN % "20.10.24+dfsg1"),
        a_docker(tmp_path / "new", BUILDX),
    ]

    builder = find_builder(os.pathsep.join(path))

    assert builder.command == (f"{path[1]}/docker", "buildx", "build")
    assert builder.is_buildx


def test_an_old_docker_command_has_buildkit_built_in(tmp_path):
    path = [
        a_docker(tmp_path / "bare", PLAIN % "28.2.2"),
        a_docker(tmp_path / "old", PLAIN % "20.10.24+dfsg1"),
    ]

    builder = find_builder(os.pathsep.join(path))

    assert builder == Builder((f"{path[1]}/docker", "build"), {"DOCKER_BUILDKIT": "1"})


def test_without_buildkit_it_is_said_what_was_found(tmp_path):
    path = a_docker(tmp_path / "bare", PLAIN % "28.2.2")

    with pytest.raises(ImageBuildError, match=r"28\.2\.2.*no buildx") as caught:
        find_builder(path)

    assert "docker-buildx" in caught.value.hint


def test_with_buildx_the_image_is_loaded_without_provenance(tmp_path):
    request = BuildRequest(
        tmp_path,
        "web:1",
        "linux/arm64",
        target="last",
        args={"B": "2", "A": "1"},
        secrets={"t": tmp_path / "a,b"},
    )

    command = build_command(Builder(("docker", "buildx", "build"), {}, True), request)

    assert "--load" in command
    assert "--provenance=false" in command
    assert f'id=t,"src={tmp_path}/a,b"' in command
    assert command.index("A=1") < command.index("B=2")
    assert command[-1] == str(tmp_path)


@pytest.mark.parametrize(
    "form", [SECRET, f"x{SECRET}y", base64.b64encode(SECRET.encode()).decode()]
)
def test_a_secret_is_found_wherever_it_stands_in_a_config(tmp_path, form):
    (tmp_path / "t").write_text(SECRET)
    config = json.dumps({"history": [{"created_by": f"RUN |1 {form}"}]}).encode()

    with pytest.raises(SourceContentError):
        check_no_secrets(config, {"t": tmp_path / "t"}, "web:1")


# Archives of other engines, by hand


def a_layer(text, name="file"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return out.getvalue()


def a_tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def a_config(layers, architecture="amd64"):
    return json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(x) for x in layers]},
        }
    ).encode()


def blob(data):
    return {"digest": digest_of(data), "size": len(data)}


def name(data):
    return f"blobs/sha256/{digest_of(data).hex}"


def sent(data):
    """Return the members of an archive that arrives in odd pieces."""
    return members_of(
        (data[at : at + 9973] for at in range(0, len(data), 9973)), EXAMPLE
    )


class Image:
    """An image as a containerd store saves it: packed layers, index, manifest.json."""

    def __init__(self, *texts, pack=lambda data: gzip.compress(data, mtime=0)):
        self.plain = [a_layer(text) for text in texts]
        self.packed = [pack(data) for data in self.plain]
        self.config = a_config(self.plain)
        self.manifest = json.dumps(
            {"config": blob(self.config), "layers": [blob(x) for x in self.packed]}
        ).encode()
        self.files = {
            **{name(x): x for x in (*self.packed, self.config, self.manifest)},
            "index.json": json.dumps({"manifests": [blob(self.manifest)]}).encode(),
            "manifest.json": json.dumps(
                [{"Config": name(self.config), "Layers": list(map(name, self.packed))}]
            ).encode(),
            "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        }

    def read(self, engine_id=None, platform="linux/amd64", store=None):
        """Take the archive apart as if the engine had sent it."""
        store = store or MemoryStore()
        archive = read_archive(sent(a_tar(self.files)), store, EXAMPLE)
        described = EngineImage(
            EXAMPLE, engine_id or digest_of(self.manifest), platform, (), 0
        )
        return understand(archive, described, platform, store)


def test_a_containerd_store_archive_is_understood():
    image, store = Image(b"one", b"two"), MemoryStore()

    saved = image.read(store=store)

    assert saved.config_bytes == image.config
    assert [layer.digest for layer in saved.layers] == list(
        map(digest_of, image.packed)
    )
    assert [layer.diff_id for layer in saved.layers] == list(
        map(digest_of, image.plain)
    )
    assert [layer.diff_size for layer in saved.layers] == list(map(len, image.plain))
    assert {layer.media_type[-4:] for layer in saved.layers} == {"gzip"}
    assert saved.manifest_bytes == make_manifest(image.config, saved.layers)
    assert set(store.blobs.values()) == set(image.packed)


def test_an_archive_of_a_newer_graph_driver_is_understood():
    image = Image(b"one", b"two", pack=bytes)

    saved = image.read(engine_id=digest_of(image.config))

    assert [layer.digest for layer in saved.layers] == list(map(digest_of, image.plain))
    assert saved.layers[0].media_type == "application/vnd.oci.image.layer.v1.tar"


def under_an_index(image, arm):
    """Put both images, and an attestation, under one index; return its bytes."""
    arm_config = a_config(arm.plain, "arm64")
    arm_manifest = json.dumps({"config": blob(arm_config), "layers": []}).encode()
    attestation = json.dumps({"config": blob(b"{}"), "layers": []}).encode()
    index = json.dumps(
        {"manifests": list(map(blob, (image.manifest, arm_manifest, attestation)))}
    ).encode()
    image.files |= {name(x): x for x in (index, arm_manifest, attestation, arm_config)}
    image.files["index.json"] = json.dumps({"manifests": [blob(index)]}).encode()
    return index


def test_the_image_of_the_wanted_platform_is_taken_from_an_index():
    image = Image(b"one")
    index = under_an_index(image, Image(b"arm"))

    saved = image.read(engine_id=digest_of(index))

    assert saved.config_bytes == image.config


def test_layers_of_other_platforms_do_not_travel_along():
    image, arm = Image(b"one"), Image(b"arm")
    index = under_an_index(image, arm)
    image.files |= {name(x): x for x in arm.packed}

    with pytest.raises(SourceContentError, match="layers of other platforms") as caught:
        image.read(engine_id=digest_of(index))

    assert "--platform linux/amd64" in caught.value.hint


def test_a_save_without_its_layers_is_refused_and_says_which():
    image = Image(b"one", b"two")
    del image.files[name(image.packed[1])]

    with pytest.raises(SourceContentError, match="1 of 2 layers") as caught:
        image.read()

    assert digest_of(image.plain[1]).short in caught.value.message
    assert "docker rmi" in caught.value.hint


def test_a_save_without_even_a_config_is_refused():
    image = Image(b"one")
    for data in (image.config, *image.packed):
        del image.files[name(data)]

    with pytest.raises(SourceContentError, match="without its config"):
        image.read()


def test_a_save_that_ends_after_any_byte_is_refused():
    image = Image(b"one")
    del image.files["manifest.json"], image.files["oci-layout"]  # not needed
    whole = a_tar(image.files)
    described = EngineImage(EXAMPLE, digest_of(image.manifest), "linux/amd64", (), 0)
    end_of_content = len(whole.rstrip(b"\0"))

    for end in range(0, end_of_content, 97):
        store = MemoryStore()
        with pytest.raises(SourceContentError):
            archive = read_archive(sent(whole[:end]), store, EXAMPLE)
            understand(archive, described, "linux/amd64", store)


def test_a_blob_that_does_not_fit_its_name_is_refused():
    packed_otherwise, reworded = Image(b"one"), Image(b"one")
    layer = name(packed_otherwise.packed[0])
    packed_otherwise.files[layer] = gzip.compress(packed_otherwise.plain[0], 0)
    reworded.files[name(reworded.config)] += b" "

    for image in (packed_otherwise, reworded):
        with pytest.raises(SourceContentError, match="does not hold the bytes"):
            image.read()


def test_a_store_that_stops_early_is_a_mistake_of_ours():
    with pytest.raises(ValueError, match="did not read"):
        Image(b"one").read(store=lambda stream: (digest_of(stream.read(9)), 9))


def test_an_archive_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("sealift_bundler.engine.archive._MAX_MEMBERS", 3)

    with pytest.raises(SourceContentError, match="more than 3 members"):
        Image(b"one").read()


def test_a_layer_that_does_not_fit_the_config_is_missing():
    image = Image(b"one")
    other = gzip.compress(a_layer(b"other"))
    del image.files[name(image.packed[0])]
    image.files[name(other)] = other

    with pytest.raises(SourceContentError, match="1 of 1 layers"):
        image.read()


def test_an_archive_of_another_image_than_was_described_is_refused():
    with pytest.raises(SourceContentError, match="engine described"):
        Image(b"one").read(engine_id=digest_of(b"another"))


def test_a_described_id_must_lead_to_the_config():
    image, other = Image(b"one"), Image(b"other")
    image.files |= {name(x): x for x in (other.manifest, other.config)}
    image.files["index.json"] = json.dumps(
        {"manifests": [blob(other.manifest)]}
    ).encode()

    with pytest.raises(SourceContentError, match="engine described"):
        image.read(engine_id=digest_of(other.manifest))


def test_zstd_layers_are_refused_with_the_remedy():
    image = Image(b"one", pack=zstandard.compress)

    with pytest.raises(SourceContentError, match="zstd") as caught:
        image.read()

    assert "gzip" in caught.value.hint


def test_a_gzip_layer_in_several_members_is_measured_whole():
    def in_two(data):
        return gzip.compress(data[:700]) + gzip.compress(data[700:])

    image = Image(b"one", pack=in_two)

    assert image.read().layers[0].diff_id == digest_of(image.plain[0])


def test_a_gzip_layer_that_breaks_off_is_refused():
    packed = gzip.compress(os.urandom(5000))
    reader = LayerReader(io.BytesIO(packed[:-9]), "a layer")
    MemoryStore()(reader)

    with pytest.raises(SourceContentError, match="ends too early"):
        reader.plain_digest()


def test_a_layer_larger_than_memory_may_keep_is_stored_in_pieces():
    largest = 0

    class Watching(MemoryStore):
        def __call__(self, stream):
            nonlocal largest
            hasher, size = hashlib.sha256(), 0
            while data := stream.read(1 << 16):
                largest = max(largest, len(data))
                hasher.update(data)
                size += len(data)
            return from_hex(hasher.hexdigest()), size

    image = Image(bytes(3 * MAX_JSON))

    saved = image.read(store=Watching())

    assert saved.layers[0].diff_size == len(image.plain[0])
    assert Image(os.urandom(2 * MAX_JSON), pack=bytes).read(store=Watching())
    assert largest == 1 << 16


def test_a_layer_that_begins_like_json_is_still_a_layer():
    image = Image(pack=bytes)
    plain = a_layer(b"text", name="{odd}")
    image.config = a_config([plain])
    image.manifest = json.dumps({"config": blob(image.config)}).encode()
    image.files = {name(x): x for x in (plain, image.config, image.manifest)}
    image.files["index.json"] = json.dumps(
        {"manifests": [blob(image.manifest)]}
    ).encode()

    assert image.read().layers[0].digest == digest_of(plain)


def test_documents_cannot_fill_the_memory():
    big = b"{" + bytes(MAX_JSON - 1)
    data = a_tar({f"{number}.json": big for number in range(17)})

    with pytest.raises(SourceContentError, match="more documents"):
        read_archive(sent(data), MemoryStore(), EXAMPLE)
