"""One registry, spoken to over its HTTP API: manifests and blobs by name.

Puts login and transport together and turns refusals into our errors. What the
bytes mean, and where blobs are kept, is for others.
"""

from __future__ import annotations

from threading import Event

import requests
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import (
    RevisionError,
    SourceContentError,
    SourceUnreachableError,
)
from sealift_manifests.image_entries import MANIFEST_TYPES
from sealift_manifests.references import DOCKER_HUB, ImageReference

from .auth import Authenticator
from .documents import INDEX_TYPES, Descriptor
from .transport import (
    HttpPolicy,
    HttpRequest,
    InterruptedTransferError,
    Patience,
    Transport,
    origin_of,
    read_all,
)

LARGEST_MANIFEST = 4 << 20
LARGEST_CONFIG = 8 << 20
_HUB_HOST = "registry-1.docker.io"
_ACCEPT = ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))


class RegistryClient:
    """Fetches from one registry; safe to share between threads."""

    def __init__(
        self,
        registry: str,
        *,
        insecure: frozenset[str] = frozenset(),
        policy: HttpPolicy | None = None,
    ) -> None:
        self.registry = registry
        self.policy = policy or HttpPolicy()
        self._transport = Transport(self.policy, insecure=insecure)
        self._auth = Authenticator(registry, self._transport)
        host = _HUB_HOST if registry == DOCKER_HUB else registry
        self._base = self._transport.base_url(host)

    def manifest(self, reference: ImageReference, wanted: str) -> tuple[bytes, str]:
        """Return the exact bytes of a manifest or index, and its content type.

        `wanted` is a tag or a digest; bytes asked for by digest are checked.
        """
        response = self._persist(reference, f"manifests/{wanted}", {"Accept": _ACCEPT})
        content_type = response.headers.get("Content-Type", "")
        promised = response.headers.get("Docker-Content-Digest", "")
        if ":" in wanted:
            promised = wanted
        data = self._body(response, reference, LARGEST_MANIFEST)
        if promised.startswith("sha256:") and promised != digest_of(data):
            raise wrong_bytes(reference, f"manifest {promised[7:19]}")
        return data, content_type

    def small_blob(self, reference: ImageReference, blob: Descriptor) -> bytes:
        """Return a blob that fits in memory, such as an image config, checked."""
        if blob.size > LARGEST_CONFIG:
            raise _too_large(reference, f"blob {blob.digest.short}", LARGEST_CONFIG)
        response = self._persist(reference, f"blobs/{blob.digest}", {})
        data = self._body(response, reference, blob.size)
        if digest_of(data) != blob.digest:
            raise wrong_bytes(reference, f"blob {blob.digest.short}")
        return data

    def open_blob(
        self, reference: ImageReference, digest: Digest, *, offset: int
    ) -> requests.Response:
        """Ask once for a blob from `offset` on; the caller reads and closes it.

        The status is 200 (all of it), 206 (from the offset) or 416.
        """
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        path = f"blobs/{digest}"
        return self._judge(self._ask(reference, path, headers), reference, path)

    def _persist(
        self, reference: ImageReference, path: str, headers: dict[str, str]
    ) -> requests.Response:
        what = f"asking {self.registry} for {reference.familiar}"
        patience = Patience(self.policy, what, Event())
        while True:
            try:
                response = self._ask(reference, path, headers)
                return self._judge(response, reference, path)
            except InterruptedTransferError as error:
                patience.wait(error)

    def _ask(
        self, reference: ImageReference, path: str, headers: dict[str, str]
    ) -> requests.Response:
        """Send once, and once more with a new login after a 401."""
        url = f"{self._base}/v2/{reference.repository}/{path}"
        scope = f"repository:{reference.repository}:pull"
        used = self._auth.header(scope)
        response = self._transport.open(HttpRequest(url, headers, used))
        # A 401 from where a redirect led says nothing about this registry's login.
        if response.status_code != 401 or origin_of(response.url) != origin_of(url):
            return response
        response.close()
        challenge = response.headers.get("WWW-Authenticate", "")
        renewed = self._auth.renew(challenge, scope, stale=used)
        if renewed is None:
            return response
        return self._transport.open(HttpRequest(url, headers, renewed))

    def _judge(
        self, response: requests.Response, reference: ImageReference, path: str
    ) -> requests.Response:
        status = response.status_code
        if status in (200, 206, 416):
            return response
        response.close()
        name = f"{reference.repository} on {self.registry}"
        if status in (401, 403):
            raise SourceUnreachableError(
                f"{self.registry} does not let us read {reference.repository} "
                f"({status})",
                hint=f"Check the name. If the image is private: docker login "
                f"{self.registry}",
            )
        if status == 404 and path.startswith("blobs/"):
            raise SourceContentError(
                f"{path[6:25]} of {name} is named by the manifest but not there",
                hint="Push the image again, or choose another tag.",
            )
        if status == 404:
            raise RevisionError(
                f"there is no {path.removeprefix('manifests/')} of {name}",
                hint="Check the name and the tag in the image reference.",
            )
        raise SourceUnreachableError(
            f"{self.registry} answered {status} when asked for {reference.repository}",
            hint="Check that this address is a container registry.",
        )

    def _body(
        self, response: requests.Response, reference: ImageReference, most: int
    ) -> bytes:
        try:
            data = read_all(response, most)
        except InterruptedTransferError as error:
            raise SourceUnreachableError(
                f"{error} while sending {reference.familiar}",
                hint="Check the network and run the same command again.",
            ) from error
        if data is None:
            raise _too_large(reference, "a document", most)
        return data


def wrong_bytes(reference: ImageReference, part: str) -> SourceContentError:
    """Say that a registry served something else than was named."""
    return SourceContentError(
        f"{reference.registry} served wrong bytes for {part} of {reference.familiar}: "
        "they do not have the digest they are named by",
        hint="Run again. If it stays so, the registry or a proxy on the way is broken "
        "or not to be trusted.",
    )


def _too_large(reference: ImageReference, part: str, most: int) -> SourceContentError:
    return SourceContentError(
        f"{part} of {reference.familiar} on {reference.registry} is larger than "
        f"the {most} bytes allowed",
        hint="Push the image again with a current tool, or choose another tag.",
    )
