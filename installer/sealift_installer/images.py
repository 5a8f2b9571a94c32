"""Images in the engine: load them, prove them whole, take our names away.

Only the names of the signed manifest are ever given, and never taken from another
image. An engine's word that it loaded something is no proof: some answer so with
layers missing.
"""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager, suppress
from functools import partial
from typing import IO, Any, Callable, Dict, Iterator, List, Optional, cast

from sealift_manifests.digests import Buffer
from sealift_manifests.errors import EngineError, ImageLoadError
from sealift_manifests.image_entries import ImageEntry

from sealift_installer.engine import (
    Answer,
    Engine,
    EngineRefusedError,
    name_in_path,
    printable,
    with_query,
)
from sealift_installer.image_archive import Rank, ReadBlob, archive, in_order
from sealift_installer.image_recovery import Recovery, recovered_archive

ABSENT, PRESENT, OTHER = "absent", "present", "other"

PROOF_LABEL = "sealift.proof"
"""The label of the containers that are created to prove an image, never started."""

_REMOVAL = 600.0
_MAX_EVENT = 1 << 20
_UNPACK_FAILED = "Error unpacking image"


def image_state(engine: Engine, image: ImageEntry) -> str:
    """Say what the image's name means in the engine: it, another image, or nothing.

    PRESENT goes by the ID alone; `prove_image` says whether the image is whole.
    """
    found = _inspect(engine, image)
    if found is None:
        return ABSENT
    return PRESENT if _is_it(found, image) else OTHER


def load_image(
    engine: Engine,
    image: ImageEntry,
    read_blob: ReadBlob,
    progress: Callable[[int], None] = lambda size: None,
    *,
    rank: Rank = in_order,
    recovery: Optional[Recovery] = None,
) -> None:
    """Load `image` under its name, and prove it whole.

    `rank` says which blobs come first; see `archive`. `progress` is told the bytes of
    each piece handed to the engine. With `recovery`, some layers come out of the engine
    itself. An error of `read_blob` goes to the caller as it is, and the engine keeps no
    image of that name that was not there before.
    """
    refuse_other(engine, image)
    before = image_state(engine, image)
    pieces = (
        recovered_archive(image, read_blob, recovery, partial(export_image, engine))
        if recovery
        else archive(image, read_blob, rank)
    )
    try:
        _upload(engine, image, _counted(pieces, progress))
        fault = prove_image(engine, image)
        if fault:
            raise ImageLoadError(
                f"image {image.name} did not arrive whole in the engine: {fault}",
                hint="Its name was taken away again. Free space below the engine's "
                "data directory and run this again; if it fails again, see the "
                "engine's log (`journalctl -u docker`).",
            )
    except BaseException as error:
        if before == ABSENT or isinstance(error, ImageLoadError):
            with suppress(EngineError):
                _untag(engine, image)
        raise


@contextmanager
def export_image(engine: Engine, image: ImageEntry) -> Iterator[IO[bytes]]:
    """Give what the engine exports of an image: a tar, to be read once."""
    path = f"/images/{name_in_path(image.reference)}/get"
    # No time limit: graph drivers assemble all layers before the first byte.
    with engine.request("GET", path, timeout=None) as answer:
        yield cast("IO[bytes]", answer)  # Of which tarfile only calls `read`.


def prove_image(engine: Engine, image: ImageEntry) -> Optional[str]:
    """Return what is wrong with the image in the engine, or None when it is whole.

    The ID pins config or manifest. That the layers are there is shown by creating
    a container, which is removed without having run.
    """
    try:
        found = _inspect(engine, image)
    except EngineRefusedError as refusal:
        return f"{image.reference} cannot be looked at: {refusal.message}"
    if found is None:
        return f"the engine has no image {image.reference}"
    if not _is_it(found, image):
        return f"{image.reference} is another image ({_id(found)[:19]})"
    layers = (found.get("RootFS") or {}).get("Layers") or []
    if list(layers) != [layer.diff_id for layer in image.layers]:
        return f"{image.reference} has other layers than were signed"
    platform = f"{found.get('Os')}/{found.get('Architecture')}"
    if platform != image.platform:
        return f"{image.reference} is for {printable(platform)}, not {image.platform}"
    return _creation_fault(engine, image)


def remove_image(engine: Engine, image: ImageEntry) -> bool:
    """Take the image's name away; say whether it was there and ours.

    The engine drops what no other name holds. Raises EngineError while a
    container uses the image.
    """
    if image_state(engine, image) != PRESENT:
        return False
    try:
        _untag(engine, image)
    except EngineRefusedError as refusal:
        if refusal.status != 409:
            raise
        raise EngineError(
            f"image {image.reference} is in use: {refusal.message}",
            hint="Stop and remove the containers that use it, then run this again.",
        ) from refusal
    return True


def _inspect(engine: Engine, image: ImageEntry) -> Optional[Dict[str, Any]]:
    found = engine.find(f"/images/{name_in_path(image.reference)}/json")
    return found if isinstance(found, dict) else None


def _id(found: Dict[str, Any]) -> str:
    text = printable(found.get("Id"))
    return text if ":" in text else f"sha256:{text}"


def _is_it(found: Dict[str, Any], image: ImageEntry) -> bool:
    return _id(found) in (image.config.digest, image.manifest.digest)


def refuse_other(engine: Engine, image: ImageEntry) -> None:
    found = _inspect(engine, image)
    if found is not None and not _is_it(found, image):
        raise ImageLoadError(
            f"the name {image.reference} already means another image in the engine: "
            f"{_id(found)}, not the signed one (config {image.config.digest}, manifest "
            f"{image.manifest.digest})",
            hint="If nothing needs that name, free it and run this again: "
            f"`docker rmi {image.reference}`. To keep that image under another "
            "name, `docker tag` it first.",
        )


def _untag(engine: Engine, image: ImageEntry) -> None:
    path = f"/images/{name_in_path(image.reference)}"
    engine.request("DELETE", path, timeout=_REMOVAL).close()


def _counted(
    pieces: Iterator[Buffer], progress: Callable[[int], None]
) -> Iterator[Buffer]:
    for piece in pieces:
        yield piece
        progress(len(piece))


def _upload(engine: Engine, image: ImageEntry, body: Iterator[Buffer]) -> None:
    # No time limit: between the last byte and the answer an engine unpacks in silence.
    path = with_query("/images/load", quiet="1")
    try:
        with engine.request("POST", path, body, timeout=None) as answer:
            faults = [fault for fault in map(_event_fault, _events(answer)) if fault]
    except EngineRefusedError as refusal:
        faults = [refusal.message]
    if faults:
        raise ImageLoadError(
            f"the engine did not load image {image.name}: {faults[0]}",
            hint="If it speaks of space, free some below the engine's data directory "
            "(`docker info`: Docker Root Dir). Then run this again.",
        )


def _events(answer: Answer) -> Iterator[bytes]:
    rest = b""
    while True:
        piece = answer.read(1 << 16)
        if not piece:
            break
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        rest = rest[:_MAX_EVENT]
    yield rest


def _event_fault(line: bytes) -> Optional[str]:
    """Return the failure an event tells of. All come with status 200."""
    text = line.decode("utf-8", "replace").strip()
    try:
        event = json.loads(text or "{}")
    except ValueError:
        return f"its answer is not readable: {printable(text, 200)}"
    if not isinstance(event, dict):
        return None
    detail = event.get("errorDetail")
    said = detail.get("message") if isinstance(detail, dict) else detail
    fault = said or event.get("error")
    if not fault and _UNPACK_FAILED in str(event.get("stream")):
        fault = event["stream"]
    return printable(str(fault).strip()) if fault else None


def _creation_fault(engine: Engine, image: ImageEntry) -> Optional[str]:
    sweep_proofs(engine)
    name = f"sealift-proof-{uuid.uuid4().hex[:12]}"
    wanted = {
        "Image": image.reference,
        "Entrypoint": ["/sealift-never-started"],
        "Labels": {PROOF_LABEL: image.config.digest},
        "NetworkDisabled": True,
        "HostConfig": {"NetworkMode": "none"},
    }
    try:
        engine.send("POST", with_query("/containers/create", name=name), wanted)
        return None
    except EngineRefusedError as refusal:
        return f"no container can be made of it: {refusal.message}"
    finally:
        with suppress(EngineError):
            _drop(engine, name)


def sweep_proofs(engine: Engine) -> None:
    """Remove what a run that was killed between create and remove has left."""
    filters = json.dumps({"label": [PROOF_LABEL], "status": ["created"]})
    found: List[Dict[str, Any]] = engine.get(
        "/containers/json", all="1", filters=filters
    )
    for container in found or []:
        with suppress(EngineError):
            _drop(engine, str(container["Id"]))


def _drop(engine: Engine, container: str) -> None:
    engine.send("DELETE", with_query(f"/containers/{container}", force="1", v="1"))
