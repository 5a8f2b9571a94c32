"""HTTP as registries need it: one request, safe redirects, bounded patience.

Knows nothing of logins or images. A redirect that leaves the host loses its
Authorization, and nothing travels in the clear unless the host may be plain.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.auth import AuthBase
from sealift_manifests.errors import SourceUnreachableError

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_LONGEST_RETRY_AFTER = 60.0
_DIRECT: Mapping[str, Any] = {"http": None, "https": None, "all": None}
_USUAL_CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
)


@dataclass(frozen=True)
class HttpPolicy:
    """How often to try again, and how long to wait; times in seconds."""

    attempts: int = 6
    first_delay: float = 0.5
    longest_delay: float = 10.0
    connect_timeout: float = 15.0
    stall_timeout: float = 60.0


class InterruptedTransferError(Exception):
    """A request failed in a way that a second try may mend. Never leaves here."""

    def __init__(self, reason: str, *, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Patience:
    """Waits between tries, longer each time, and ends after so many."""

    def __init__(self, policy: HttpPolicy, what: str, stopped: Event) -> None:
        self._policy = policy
        self._what = what
        self._stopped = stopped
        self._failed = 0

    def wait(self, error: InterruptedTransferError) -> None:
        """Sleep before the next try, or give up."""
        self._failed += 1
        if self._failed >= self._policy.attempts:
            raise SourceUnreachableError(
                f"{self._what} failed after {self._failed} tries: {error}",
                hint="Check the network and any proxy, then run the same command "
                "again. What has arrived is kept and continued.",
            ) from error
        delay = self._policy.first_delay * 2 ** (self._failed - 1)
        delay = max(min(delay, self._policy.longest_delay), error.retry_after)
        self._stopped.wait(delay)

    def renew(self) -> None:
        """Count from the beginning: the last try brought something."""
        self._failed = 0


@dataclass(frozen=True)
class HttpRequest:
    """What to ask for. `authorization` is for the host of `url` alone."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    authorization: str | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)


class Transport:
    """Sends requests; https unless the host is loopback or named insecure."""

    def __init__(self, policy: HttpPolicy, *, insecure: frozenset[str]) -> None:
        self.policy = policy
        self._insecure = insecure
        self._session = _Session()
        self._session.verify = _certificate_authorities()

    def base_url(self, host: str) -> str:
        """Return `http://HOST` where that is allowed, `https://HOST` elsewhere."""
        return f"{'http' if self._may_be_plain(host) else 'https'}://{host}"

    def open(self, request: HttpRequest) -> requests.Response:
        """Send once and follow redirects; the body is left to be streamed."""
        url = request.url
        for _ in range(_MOST_REDIRECTS + 1):
            self._refuse_plain(url)
            response = self._send(url, request)
            if response.status_code not in _REDIRECTS:
                return _raise_if_busy(response)
            response.close()
            url = _next_url(url, response)
            if request.form is not None:
                break
        raise SourceUnreachableError(
            f"{host_of(request.url)} redirects where it should not, or for ever",
            hint="Check the address and the proxy settings of the registry.",
        )

    def _send(self, url: str, request: HttpRequest) -> requests.Response:
        at_home = origin_of(url) == origin_of(request.url)
        host = host_of(url)
        policy = self.policy
        try:
            return self._session.request(
                "GET" if request.form is None else "POST",
                url,
                headers={"Accept-Encoding": "identity", **request.headers},
                auth=_Authorization(request.authorization if at_home else None),
                data=request.form,
                allow_redirects=False,
                stream=True,
                timeout=(policy.connect_timeout, policy.stall_timeout),
                proxies=dict(_DIRECT) if is_loopback(host) else None,
            )
        except requests.exceptions.SSLError as error:
            raise SourceUnreachableError(
                f"the TLS certificate of {host} was not accepted",
                hint="If a company CA signs it, name its PEM file in "
                "REQUESTS_CA_BUNDLE. A registry that speaks plain http must be "
                "listed as insecure.",
            ) from error
        except requests.exceptions.InvalidURL as error:
            raise SourceUnreachableError(
                f"{host!r} is not an address that can be asked",
                hint="Check the registry host in the image reference.",
            ) from error
        except requests.exceptions.RequestException as error:
            raise InterruptedTransferError(f"{host} {_why(error, policy)}") from error

    def _refuse_plain(self, url: str) -> None:
        if not is_web_url(url):
            raise SourceUnreachableError(
                "a registry or token server points at something that is no web address",
                hint="Check the address and the proxy settings of the registry.",
            )
        parts = urlsplit(url)
        plain_ok = parts.scheme == "http" and self._may_be_plain(parts.netloc)
        if parts.scheme != "https" and not plain_ok:
            raise SourceUnreachableError(
                f"{host_of(url)} would be asked over plain http, where anybody on "
                "the way can listen and change what comes",
                hint="Use https, or list the host as insecure if that is meant.",
            )

    def _may_be_plain(self, host: str) -> bool:
        return host in self._insecure or is_loopback(host)


class _Session(requests.Session):
    """Leaves redirects to us.

    Even when told not to follow, requests reads their whole body, however long,
    and parses where they lead.
    """

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class _Authorization(AuthBase):
    """Sets the header, or none: a plain `None` would let ~/.netrc speak."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value is not None:
            prepared.headers["Authorization"] = self._value
        return prepared


def read_some(response: requests.Response, most: int) -> bytes:
    """Read up to `most` bytes of the body as they were sent; b"" at its end."""
    try:
        data: bytes = response.raw.read(most, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        host = host_of(response.url)
        raise InterruptedTransferError(f"{host} broke the transfer off") from error
    return data


def read_all(response: requests.Response, most: int) -> bytes | None:
    """Read and close a body of at most `most` bytes; None if it is longer."""
    pieces = []
    with response:
        room = most + 1
        while room and (piece := read_some(response, room)):
            pieces.append(piece)
            room -= len(piece)
    return b"".join(pieces) if room else None


def is_web_url(text: str) -> bool:
    """Whether a foreign string is an http or https URL with a host."""
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        return False


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what a secret must not leave."""
    parts = urlsplit(url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    return parts.scheme, (parts.hostname or "").lower(), port


def host_of(url: str) -> str:
    """The host and port as written, without userinfo, path or query."""
    return urlsplit(url).netloc.rpartition("@")[2]


def is_loopback(host: str) -> bool:
    """Whether `HOST[:PORT]` is this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _next_url(url: str, response: requests.Response) -> str:
    try:
        return urljoin(url, response.headers.get("Location", ""))
    except ValueError:
        return ""


def _raise_if_busy(response: requests.Response) -> requests.Response:
    status = response.status_code
    if status < 500 and status != 429:
        return response
    response.close()
    after = response.headers.get("Retry-After", "")
    raise InterruptedTransferError(
        f"{host_of(response.url)} answered {status}",
        retry_after=min(float(after), _LONGEST_RETRY_AFTER) if after.isdigit() else 0,
    )


def _why(error: requests.exceptions.RequestException, policy: HttpPolicy) -> str:
    """Say it without the text of the error: that can hold a signed URL."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"did not connect within {policy.connect_timeout:g} s"
    if isinstance(error, requests.exceptions.Timeout):
        return f"said nothing for {policy.stall_timeout:g} s"
    if isinstance(error, requests.exceptions.ProxyError):
        return "is not reachable through the proxy of the environment"
    cause = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(cause, urllib3.exceptions.NameResolutionError):
        return "is a name that cannot be resolved"
    return "cannot be connected to, or broke the connection off"


def _certificate_authorities() -> str | bool:
    """Prefer the system's CAs to those that came with Python packages.

    REQUESTS_CA_BUNDLE, when set, goes before both.
    """
    paths = ssl.get_default_verify_paths()
    for file in (paths.cafile, *_USUAL_CA_FILES):
        if file and os.path.isfile(file):
            return file
    if paths.capath and os.path.isdir(paths.capath) and os.listdir(paths.capath):
        return paths.capath
    return True
