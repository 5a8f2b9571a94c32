"""HTTP to a container engine on its Unix socket: Docker, or Podman's Docker API.

Asks and hands over; knows no images, volumes or stacks. Nothing from the
environment but DOCKER_HOST is looked at, so a proxy never comes between.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, Mapping, Optional, Tuple, Union
from urllib.parse import quote, urlencode

from sealift_manifests.digests import Buffer
from sealift_manifests.errors import EngineError

DEFAULT_SOCKETS = ("/var/run/docker.sock", "/run/podman/podman.sock")
KNOWN_API = (1, 44)
"""The newest API this module was written for; 29.0 to 29.2 accept no older one."""

SHORT = 60.0
"""Seconds an engine may stay silent, except while it moves whole images."""

_CONNECT_TIMEOUT = 10.0
_MAX_JSON = 64 << 20
_STARTING = "Start the engine (`systemctl start docker`), or name its socket: --engine."

Body = Union[None, bytes, Iterable[Buffer]]


@dataclass(frozen=True)
class EngineFacts:
    """What an engine says of itself.

    `is_local`: it runs under this host's kernel and name, so that a path here is
    the same path there. `containerd_store`: image IDs are manifest digests.
    """

    name: str
    version: str
    api_version: str
    root_dir: str
    driver: str
    containerd_store: bool
    os: str
    arch: str
    is_local: bool
    rootless: bool
    runtimes: Tuple[str, ...]

    @property
    def platform(self) -> str:
        """Operating system and architecture, as images name them."""
        return f"{self.os}/{self.arch}"


class EngineRefusedError(EngineError):
    """The engine answered, and the answer is no. `status` is that of HTTP."""

    def __init__(self, message: str, *, hint: str, status: int) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class Answer:
    """An answer with a 2xx status whose body is read as it comes. Close it."""

    def __init__(self, connection: _UnixConnection) -> None:
        self._connection = connection
        with connection.guard():
            self._response = connection.getresponse()
        self.status = self._response.status

    def read(self, size: int = 1 << 20) -> bytes:
        """Return up to `size` bytes, `b""` at the end of the body."""
        with self._connection.guard():
            return self._response.read(size)

    def read_some(self, size: int) -> bytes:
        """Return what has come, up to `size` bytes, without waiting for all of them."""
        with self._connection.guard():
            return self._response.read1(size)

    def json(self) -> Any:
        """Read the whole body as JSON."""
        pieces, size = [], 0
        while size <= _MAX_JSON:
            piece = self.read()
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
        try:
            return json.loads(b"".join(pieces).decode("utf-8", "replace") or "null")
        except (ValueError, RecursionError) as error:
            raise EngineError(
                f"the engine's answer to {self._connection.what} is not JSON",
                hint="Is the socket given that of Docker or Podman?",
            ) from error

    def close(self) -> None:
        """Drop the connection; what was not read is lost."""
        self._response.close()
        self._connection.close()

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Engine:
    """A container engine behind a Unix socket. Holds no connection open."""

    def __init__(self, socket_path: str) -> None:
        self.socket_path = socket_path
        self._version: Optional[Dict[str, Any]] = None

    @classmethod
    def connect(
        cls, path: Optional[str] = None, environ: Mapping[str, str] = os.environ
    ) -> Engine:
        """Return the engine at `path`, or DOCKER_HOST, or the usual places.

        The first usual place with a socket is taken; without one, the first, so
        that errors name it. Raises EngineError for what is not a Unix socket.
        """
        named = path or environ.get("DOCKER_HOST", "")
        if named:
            return cls(_socket_of(named, "--engine" if path else "DOCKER_HOST"))
        found = [place for place in DEFAULT_SOCKETS if os.path.exists(place)]
        return cls((found or list(DEFAULT_SOCKETS))[0])

    @property
    def url(self) -> str:
        """The engine's address as DOCKER_HOST spells it."""
        return "unix://" + self.socket_path

    def probe(self) -> Optional[EngineFacts]:
        """Return what the engine says of itself, or None when none answers."""
        try:
            return self.facts()
        except EngineError:
            return None

    def facts(self) -> EngineFacts:
        """Return what the engine says of itself."""
        version, info = self._ask_version(), self.get("/info") or {}
        here = os.uname()
        components = version.get("Components") or [{}]
        store = json.dumps(info.get("DriverStatus"))
        return EngineFacts(
            name=printable(components[0].get("Name") or "Engine"),
            version=printable(version.get("Version")),
            api_version=".".join(map(str, self._api())),
            root_dir=str(info.get("DockerRootDir") or ""),
            driver=printable(info.get("Driver")),
            containerd_store="io.containerd.snapshotter" in store,
            os=printable(version.get("Os")),
            arch=printable(version.get("Arch")),
            is_local=info.get("KernelVersion") == here.release
            and info.get("Name") == here.nodename,
            rootless="rootless" in json.dumps(info.get("SecurityOptions")),
            runtimes=tuple(sorted(map(printable, info.get("Runtimes") or ()))),
        )

    def require_answer(self, within: float) -> None:
        """Raise EngineError unless the engine answers in `within` seconds."""
        self._exchange("GET", "/_ping", None, within).close()

    def get(self, path: str, **query: str) -> Any:
        """GET `path` and return the JSON of the answer."""
        with self.request("GET", with_query(path, **query)) as answer:
            return answer.json()

    def find(self, path: str) -> Any:
        """GET `path` and return its JSON, or None when there is no such thing."""
        try:
            return self.get(path)
        except EngineRefusedError as refusal:
            if refusal.status == 404:
                return None
            raise

    def send(self, method: str, path: str, value: Any = None) -> Any:
        """Send `value` as JSON and return the JSON of the answer."""
        body = None if value is None else json.dumps(value).encode("ascii")
        with self.request(method, path, body) as answer:
            return answer.json() if method == "POST" else None

    def request(
        self,
        method: str,
        path: str,
        body: Body = None,
        timeout: Optional[float] = SHORT,
    ) -> Answer:
        """Send a request and return the answer, to be closed by the caller.

        A `body` of pieces is streamed as they come. When it raises, the upload is
        cut off such that the engine sees it is not whole, and the error goes on.
        `timeout` is for each wait, in seconds; None waits for ever. Raises
        EngineError when no engine answers, EngineRefusedError when it says no.
        """
        major, minor = self._api()
        return self._exchange(method, f"/v{major}.{minor}{path}", body, timeout)

    def _exchange(
        self, method: str, target: str, body: Body, timeout: Optional[float]
    ) -> Answer:
        what = f"{method} {printable(target)}"
        connection = _UnixConnection(self.socket_path, what, timeout)
        try:
            connection.connect()
            _send(connection, method, target, body)
            answer = Answer(connection)
            if not 200 <= answer.status < 300:
                raise _refusal(answer, what)
        except BaseException:
            connection.close()
            raise
        return answer

    def _ask_version(self) -> Dict[str, Any]:
        if self._version is None:
            with self._exchange("GET", "/version", None, SHORT) as answer:
                version = answer.json()
            if not isinstance(version, dict) or "ApiVersion" not in version:
                raise EngineError(
                    f"what answers at {self.socket_path} is not a container engine",
                    hint="Name the socket of Docker or Podman: --engine.",
                )
            self._version = version
        return self._version

    def _api(self) -> Tuple[int, int]:
        version = self._ask_version()
        newest = _api_number(version["ApiVersion"])
        oldest = _api_number(version.get("MinAPIVersion") or "1.0")
        return max(min(newest, KNOWN_API), oldest)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, socket_path: str, what: str, timeout: Optional[float]) -> None:
        super().__init__("localhost")
        self.what = what
        self._socket_path = socket_path
        self._wait = timeout

    def connect(self) -> None:
        with self.guard():
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(_CONNECT_TIMEOUT)
            self.sock.connect(self._socket_path)
            self.sock.settimeout(self._wait)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turn what goes wrong between here and the engine into an EngineError."""
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise _broken(self._socket_path, self.what, error) from error

    def cut(self) -> None:
        """End the upload short of its end and wait until the engine noticed.

        The engine then has dropped what it had when the caller looks at it.
        """
        try:
            self.sock.shutdown(socket.SHUT_WR)
            self.sock.settimeout(SHORT)
            while self.sock.recv(1 << 16):
                pass
        except OSError:
            pass


def with_query(path: str, **query: str) -> str:
    """Return `path` with a query string."""
    return f"{path}?{urlencode(sorted(query.items()))}" if query else path


def name_in_path(name: str) -> str:
    """Return an image reference or other name as a part of an API path."""
    return quote(name, safe="/:@")


def printable(text: object, limit: int = 2000) -> str:
    """Return foreign text in one line that cannot move a terminal's cursor.

    Control and formatting characters are shown escaped; longer texts are cut.
    """
    shown = str(text if text is not None else "")[:limit]
    return "".join(map(_visible, shown))


def _visible(char: str) -> str:
    if char == "\t":
        return " "
    if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
        return char.encode("unicode_escape", "surrogatepass").decode("ascii")
    return char


def _socket_of(address: str, origin: str) -> str:
    path = address[len("unix://") :] if address.startswith("unix://") else address
    if not path.startswith("/"):
        raise EngineError(
            f"{origin} is {printable(address)!r}, which is not a Unix socket",
            hint="Weights are mounted from this host, so the engine must run on it. "
            "Give the path of its socket, such as --engine /var/run/docker.sock.",
        )
    return path


def _api_number(text: object) -> Tuple[int, int]:
    major, _, minor = str(text).partition(".")
    if not (major.isdigit() and minor.isdigit()):
        raise EngineError(
            f"the engine offers API version {printable(text)!r}",
            hint="Name the socket of Docker or Podman: --engine.",
        )
    return int(major), int(minor)


def _send(connection: _UnixConnection, method: str, target: str, body: Body) -> None:
    if body is None or isinstance(body, bytes):
        headers = {"Content-Type": "application/json"} if body else {}
        with connection.guard():
            connection.request(method, target, body, headers)
        return
    with connection.guard():
        connection.putrequest(method, target)
        connection.putheader("Content-Type", "application/x-tar")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
    try:
        for piece in _framed(body):
            try:
                with connection.guard():
                    connection.send(piece)
            except EngineError as error:
                if isinstance(error.__cause__, ConnectionError):
                    return  # The engine has refused already; its answer says why.
                raise
    except BaseException:
        connection.cut()
        raise


def _framed(pieces: Iterable[Buffer]) -> Iterator[bytes]:
    for piece in pieces:
        if piece:
            yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _refusal(answer: Answer, what: str) -> EngineRefusedError:
    text = answer.read(1 << 16).decode("utf-8", "replace")
    try:
        value = json.loads(text)
        text = str(value.get("message") or value.get("cause") or text)
    except (ValueError, AttributeError):
        pass
    return EngineRefusedError(
        f"the engine refuses: {printable(text.strip())} ({what}: {answer.status})",
        hint="The engine's own log may say more: `journalctl -u docker`.",
        status=answer.status,
    )


def _broken(socket_path: str, what: str, error: Exception) -> EngineError:
    if isinstance(error, FileNotFoundError):
        return EngineError(f"no engine: {socket_path} does not exist", hint=_STARTING)
    if isinstance(error, PermissionError):
        return EngineError(
            f"this user may not use the engine's socket {socket_path}",
            hint="Run the command as root.",
        )
    if isinstance(error, ConnectionRefusedError):
        return EngineError(f"no engine listens at {socket_path}", hint=_STARTING)
    if isinstance(error, socket.timeout):
        return EngineError(
            f"the engine at {socket_path} was silent for too long ({what})",
            hint="See whether it hangs (`docker info`), then run this again.",
        )
    return EngineError(
        f"the engine at {socket_path} broke off ({what}): {printable(error)}",
        hint="See its log (`journalctl -u docker`), then run this again.",
    )
