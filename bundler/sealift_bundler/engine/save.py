"""Images out of the engine: `docker save` as a stream, checked part by part.

An engine's answer is not trusted to be whole: one with the containerd store can
leave layers out and still report success. Writes nothing itself.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import RevisionError, SourceContentError
from sealift_manifests.image_entries import Descriptor, LayerEntry

from sealift_bundler.engine.archive import (
    Archive,
    ArchiveMember,
    Store,
    members_of,
    read_archive,
)
from sealift_bundler.engine.client import engine_errors
from sealift_bundler.insides.layers import LayerView
from sealift_bundler.insides.needs import ImageConfig
from sealift_bundler.leaks.rules import SecretValues

if TYPE_CHECKING:
    import docker

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_CHUNK = 1 << 20
_BLOBS = "blobs/sha256/"


@dataclass(frozen=True)
class EngineImage:
    """What the engine says of an image.

    `id` is the digest of the config, or with the containerd store that of the
    manifest or index. `size` is that of the unpacked layers.
    """

    reference: str
    id: Digest
    platform: str
    tags: tuple[str, ...]
    size: int
    config: ImageConfig = field(default_factory=lambda: ImageConfig({}))


@dataclass(frozen=True)
class SavedImage:
    """An image taken from the engine: its layers are stored, the rest is here.

    `views` is what was seen inside the layers, lowest first.
    """

    reference: str
    config_bytes: bytes
    manifest_bytes: bytes
    layers: tuple[LayerEntry, ...]
    views: tuple[LayerView, ...] = ()

    @property
    def config(self) -> Descriptor:
        """The config blob."""
        return _describe(CONFIG_TYPE, self.config_bytes)

    @property
    def manifest(self) -> Descriptor:
        """The manifest blob, which we wrote."""
        return _describe(MANIFEST_TYPE, self.manifest_bytes)


def inspect_image(client: docker.DockerClient, reference: str) -> EngineImage:
    """Ask the engine what it has under a reference."""
    from docker.errors import NotFound

    with engine_errors(f"the engine cannot describe the image {reference}"):
        try:
            found = client.images.get(reference).attrs
        except NotFound as error:
            raise _absent(reference) from error
    return EngineImage(
        reference=reference,
        id=Digest(found["Id"]),
        platform=f"{found['Os']}/{found['Architecture']}",
        tags=tuple(sorted(found.get("RepoTags") or ())),
        size=int(found.get("Size") or 0),
        config=ImageConfig.of(found.get("Config") or {}),
    )


def stream_image(
    client: docker.DockerClient, reference: str
) -> Iterator[ArchiveMember]:
    """Yield the files of an image's archive as the engine sends them."""
    return members_of(_archive_chunks(client, reference), reference)


def save_image(
    client: docker.DockerClient,
    reference: str,
    platform: str,
    store: Store,
    *,
    secrets: SecretValues | None = None,
) -> SavedImage:
    """Take an image from the engine; `store` gets each layer once.

    `secrets` are looked for in the layers; what is found is in the views.
    """
    image = inspect_image(client, reference)
    members = stream_image(client, reference)
    archive = read_archive(members, store, reference, secrets)
    return understand(archive, image, platform, store)


def understand(
    archive: Archive, image: EngineImage, platform: str, store: Store
) -> SavedImage:
    """Find the image in its archive and check that all of it is there."""
    config = _config_for(archive, image, platform)
    diff_ids = _diff_ids(config, image)
    _check_identity(archive, image, digest_of(config))
    _keep_layers_like_json(archive, diff_ids, store)
    found = archive.layers
    missing = [diff_id for diff_id in dict.fromkeys(diff_ids) if diff_id not in found]
    if missing:
        raise _incomplete(
            image.reference,
            f"{len(missing)} of {len(set(diff_ids))} layers: "
            + ", ".join(diff_id.short for diff_id in missing),
        )
    if set(found) - set(diff_ids):
        raise SourceContentError(
            f"the engine saved {image.reference} with layers of other platforms",
            hint=f"Keep it for {platform} only: `docker rmi` it and pull or build it "
            f"with --platform {platform}; or use `pull:` in the spec, which takes one "
            "platform.",
        )
    layers = tuple(found[diff_id] for diff_id in diff_ids)
    views = tuple(archive.views[diff_id] for diff_id in diff_ids)
    manifest = make_manifest(config, layers)
    return SavedImage(image.reference, config, manifest, layers, views)


def make_manifest(config: bytes, layers: Sequence[LayerEntry]) -> bytes:
    """Return an OCI manifest; the same parts always give the same bytes."""
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _as_json(_describe(CONFIG_TYPE, config)),
        "layers": [_as_json(layer) for layer in layers],
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _archive_chunks(client: docker.DockerClient, reference: str) -> Iterator[bytes]:
    from docker.errors import APIError

    # By name, since the library's own `save` leaves the tags out; and as a plain
    # request, since its `get_image` knows of no read that may last for minutes.
    api = client.api
    url = f"{api.base_url}/v{api.api_version}/images/{quote(reference)}/get"
    with (
        engine_errors(f"the engine broke off while saving the image {reference}"),
        api.get(url, stream=True, timeout=None) as response,
    ):
        if response.status_code == 404:
            raise _absent(reference)
        if response.status_code != 200:
            raise APIError(response.text[:2000], response=response)
        yield from response.iter_content(_CHUNK)


def _config_for(archive: Archive, image: EngineImage, platform: str) -> bytes:
    """Return the config of the image for a platform, among those in the archive."""
    named = dict.fromkeys((*_legacy_configs(archive), *_oci_configs(archive)))
    present = [archive.documents[n] for n in named if n in archive.documents]
    if not present:
        raise _incomplete(image.reference, "its config")
    platforms = []
    for config in present:
        value = _object(config)
        platforms.append(f"{value.get('os')}/{value.get('architecture')}")
        if platforms[-1] == platform:
            return config
    raise SourceContentError(
        f"the image {image.reference} is for {', '.join(platforms)}; the spec wants "
        f"{platform}",
        hint=f"Build or pull it for {platform}, or change `platform:` in the spec.",
    )


def _legacy_configs(archive: Archive) -> Iterator[str]:
    for entry in _array(archive.documents.get("manifest.json", b"")):
        if isinstance(entry, dict) and isinstance(entry.get("Config"), str):
            yield entry["Config"]


def _oci_configs(archive: Archive) -> Iterator[str]:
    for digest in _top_digests(archive):
        for name in _reachable(archive, digest):
            config = _object(archive.documents.get(name, b"")).get("config")
            if isinstance(config, dict):
                yield _blob_name(config)


def _top_digests(archive: Archive) -> Iterator[str]:
    index = _object(archive.documents.get("index.json", b""))
    yield from (_blob_name(item) for item in _descriptors(index, "manifests"))


def _reachable(archive: Archive, name: str) -> Iterator[str]:
    """Yield the documents that a descriptor leads to: itself, manifests, configs."""
    seen, waiting = set(), [name]
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        yield name
        value = _object(archive.documents.get(name, b""))
        waiting += [_blob_name(item) for item in _descriptors(value, "manifests")]
        if isinstance(value.get("config"), dict):
            waiting.append(_blob_name(value["config"]))


def _check_identity(archive: Archive, image: EngineImage, config: Digest) -> None:
    """Expect the archive to hold the image that the engine described."""
    top = _BLOBS + image.id.hex
    if image.id == config or (
        top in _top_digests(archive) and _BLOBS + config.hex in _reachable(archive, top)
    ):
        return
    raise SourceContentError(
        f"the archive of {image.reference} holds the image {config.short}, and the "
        f"engine described {image.id.short}",
        hint="The tag was moved meanwhile. Build again.",
    )


def _diff_ids(config: bytes, image: EngineImage) -> tuple[Digest, ...]:
    rootfs = _object(config).get("rootfs")
    listed = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    try:
        return tuple(Digest(each) for each in listed or ())
    except (ValueError, TypeError) as error:
        raise SourceContentError(
            f"the config of {image.reference} does not list its layers: {error}",
            hint="The image is damaged in the engine. Build or pull it again.",
        ) from error


def _keep_layers_like_json(
    archive: Archive, diff_ids: Sequence[Digest], store: Store
) -> None:
    """Store layers that were taken for documents: a tar may begin with a brace."""
    for data in archive.documents.values():
        digest = digest_of(data)
        if digest in diff_ids and digest not in archive.layers:
            archive.keep(io.BytesIO(data), store, f"the layer {digest.short}")


def _descriptors(value: dict[str, Any], key: str) -> Iterator[dict[str, Any]]:
    items = value.get(key)
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            yield item


def _blob_name(descriptor: dict[str, Any]) -> str:
    return _BLOBS + str(descriptor.get("digest", "")).removeprefix("sha256:")


def _object(data: bytes) -> dict[str, Any]:
    value = _parse(data)
    return value if isinstance(value, dict) else {}


def _array(data: bytes) -> list[Any]:
    value = _parse(data)
    return value if isinstance(value, list) else []


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _describe(media_type: str, data: bytes) -> Descriptor:
    return Descriptor(media_type, digest_of(data), len(data))


def _as_json(blob: Descriptor) -> dict[str, Any]:
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}


def _absent(reference: str) -> RevisionError:
    return RevisionError(
        f"the engine has no image {reference}",
        hint="`docker images` lists what it has. Load or build it, or use `pull:`.",
    )


def _incomplete(reference: str, what: str) -> SourceContentError:
    return SourceContentError(
        f"the engine saved {reference} without {what}",
        hint="The containerd image store does this to an image whose layers it knows "
        "from elsewhere. Remove the image (`docker rmi`), pull or build it again; or "
        "use `pull:` in the spec, which needs no engine.",
    )
