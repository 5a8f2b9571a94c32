"""Servers in front of a registry: they cut, alter, redirect and ask for tokens.

Real sockets and real HTTP, so that the client meets what it would meet outside.
"""

from __future__ import annotations

import base64
import datetime
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID


@dataclass
class Seen:
    """A request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Answer:
    """What goes back; `cut_after` sends so many bytes of the body and hangs up."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_after: int | None = None


Handle = Callable[[Seen], Answer]


@dataclass
class Front:
    """A running front and what it has seen."""

    host: str
    seen: list[Seen]

    def blob_requests(self) -> list[Seen]:
        return [request for request in self.seen if "/blobs/" in request.path]


@contextmanager
def running_front(handle: Handle, *, address: str = "127.0.0.1") -> Iterator[Front]:
    """Serve HTTP with `handle` until the block ends."""
    seen: list[Seen] = []

    def answer(request: Seen) -> Answer:
        seen.append(request)
        return handle(request)

    with ThreadingHTTPServer((address, 0), _handler(answer)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield Front(f"{address}:{server.server_port}", seen)
        finally:
            server.shutdown()
            thread.join()


def _handler(handle: Handle) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(handle(self._request()))

        def do_POST(self) -> None:
            self.do_GET()

        def _request(self) -> Seen:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return Seen(self.command, self.path, dict(self.headers.items()), body)

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            headers = dict(answer.headers)
            if "Transfer-Encoding" not in headers:
                headers.setdefault("Content-Length", str(len(answer.body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(answer.body[: answer.cut_after])
            except OSError:
                self.close_connection = True
            if answer.cut_after is not None:
                self.close_connection = True

        def log_message(self, *_args: object) -> None:
            pass

    return Handler


def passing_on(upstream: str, alter: Callable[[Seen, Answer], Answer]) -> Handle:
    """Fetch from a registry what is asked for, and let `alter` spoil it."""

    def handle(request: Seen) -> Answer:
        kept = {
            name: value
            for name, value in request.headers.items()
            if name.lower() in ("accept", "range", "authorization")
        }
        parts = urlsplit(request.path)
        path = urlunsplit(("", "", parts.path, parts.query, ""))
        with requests.Session() as session:
            session.trust_env = False
            got = session.get(
                f"http://{upstream}{path}",
                headers=kept,
                timeout=30,
                allow_redirects=False,
            )
        headers = {
            name: value
            for name, value in got.headers.items()
            if name.lower() not in ("content-length", "connection", "date")
        }
        return alter(request, Answer(got.status_code, headers, got.content))

    return handle


class TokenRealm:
    """A token server's key, and the tokens it signs for docker-registry."""

    issuer = "tests"
    service = "registry.tests"

    def __init__(self, directory: Path, *, seconds: int = 60) -> None:
        self._seconds = seconds
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._certificate = self._certify()
        self.bundle = directory / "realm.pem"
        self.bundle.write_bytes(
            self._certificate.public_bytes(serialization.Encoding.PEM)
        )

    def settings(self, realm_host: str) -> dict[str, str]:
        """Return what docker-registry has to know of this realm."""
        return {
            "realm": f"http://{realm_host}/token",
            "service": self.service,
            "issuer": self.issuer,
            "rootcertbundle": str(self.bundle),
        }

    def answer(self, scope: str) -> Answer:
        """Return a token for a scope such as `repository:x:pull`."""
        kind, name, actions = scope.split(":")
        now = int(time.time())
        access = {"type": kind, "name": name, "actions": actions.split(",")}
        claims = {
            "iss": self.issuer,
            "aud": self.service,
            "sub": "someone",
            "iat": now,
            "nbf": now - 5,
            # docker-registry forgives a minute of clock difference.
            "exp": now - 60 + self._seconds,
            "jti": str(now),
            "access": [access],
        }
        body = json.dumps({"token": self._sign(claims)}).encode()
        return Answer(200, {"Content-Type": "application/json"}, body)

    def _sign(self, claims: dict[str, object]) -> str:
        der = self._certificate.public_bytes(serialization.Encoding.DER)
        chain = [base64.b64encode(der).decode()]
        header = {"typ": "JWT", "alg": "RS256", "x5c": chain}
        signed = ".".join(_url64(json.dumps(x).encode()) for x in (header, claims))
        mark = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_url64(mark)}"

    def _certify(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.issuer)])
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(self._key, hashes.SHA256())
        )


def asked_scope(request: Seen) -> str:
    """Return the scope in a token request, from its query or its form."""
    query = urlsplit(request.path).query or request.body.decode()
    return parse_qs(query)["scope"][0]


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
