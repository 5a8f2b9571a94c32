"""What a registry wants to see before it answers: Basic, or a bearer token.

Tokens live in memory, per scope, and are renewed when the registry no longer
takes them. The credential itself comes from `credentials`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from threading import Event, Lock
from urllib.parse import urlencode, urlsplit, urlunsplit

import requests
from sealift_manifests.errors import SourceUnreachableError

from .credentials import Credential, find_credential
from .transport import (
    HttpRequest,
    InterruptedTransferError,
    Patience,
    Transport,
    host_of,
    is_web_url,
    read_all,
)

_CLIENT_ID = "sealift"
_LONGEST_TOKEN_ANSWER = 1 << 20
_CHALLENGE_PIECE = re.compile(
    r"""[\s,]*(?:(?P<key>[\w-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+))
    |(?P<scheme>[A-Za-z][\w-]*))""",
    re.VERBOSE,
)

Challenges = dict[str, dict[str, str]]


def parse_challenges(header: str) -> Challenges:
    """Read `WWW-Authenticate`: parameters by lower-case scheme, first one wins."""
    challenges: Challenges = {}
    current: dict[str, str] = {}
    for piece in _CHALLENGE_PIECE.finditer(header):
        if scheme := piece["scheme"]:
            current = {}
            challenges.setdefault(scheme.lower(), current)
        else:
            quoted = piece["quoted"]
            value = piece["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            current.setdefault(piece["key"].lower(), value)
    return challenges


class Authenticator:
    """Holds what one registry has accepted; safe to share between threads."""

    def __init__(
        self,
        registry: str,
        transport: Transport,
        *,
        find: Callable[[str], Credential | None] = find_credential,
    ) -> None:
        self._registry = registry
        self._transport = transport
        self._find = find
        self._lock = Lock()
        self._by_scope: dict[str, str] = {}
        self._credential: Credential | None = None
        self._looked_up = False

    def header(self, scope: str) -> str | None:
        """Return the Authorization that was last good for this scope."""
        return self._by_scope.get(scope)

    def renew(self, challenge: str, scope: str, *, stale: str | None) -> str | None:
        """Answer a 401: return a new Authorization, or None if there is none.

        `stale` is what the registry has just refused. If another thread has
        renewed it meanwhile, that answer is shared.
        """
        with self._lock:
            current = self._by_scope.get(scope)
            if current is not None and current != stale:
                return current
            header = self._answer(parse_challenges(challenge), scope)
            if header is None or header == stale:
                self._by_scope.pop(scope, None)
                return None
            self._by_scope[scope] = header
            return header

    def _answer(self, challenges: Challenges, scope: str) -> str | None:
        bearer = challenges.get("bearer")
        if bearer is not None and is_web_url(bearer.get("realm", "")):
            return "Bearer " + self._token(bearer, scope)
        credential = self._login()
        if credential is None or "basic" not in challenges:
            return None
        return _basic(credential)

    def _login(self) -> Credential | None:
        if not self._looked_up:
            self._credential = self._find(self._registry)
            self._looked_up = True
        return self._credential

    def _token(self, bearer: dict[str, str], scope: str) -> str:
        request = _token_request(bearer, scope, self._login())
        patience = Patience(
            self._transport.policy,
            f"asking {host_of(request.url)} for a token for {self._registry}",
            Event(),
        )
        while True:
            try:
                response = self._transport.open(request)
                return self._read_token(response)
            except InterruptedTransferError as error:
                patience.wait(error)

    def _read_token(self, response: requests.Response) -> str:
        host, status = host_of(response.url), response.status_code
        body = read_all(response, _LONGEST_TOKEN_ANSWER)
        if status in (400, 401, 403):
            raise SourceUnreachableError(
                f"{host} refused the login for {self._registry} ({status})",
                hint=f"Log in again: docker login {self._registry}",
            )
        try:
            answer = json.loads(body or b"")
            token = answer.get("token") or answer.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        # One line of visible ASCII, so that it can become one header and no more.
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
            raise SourceUnreachableError(
                f"{host} answered {status} without a token for {self._registry}",
                hint="Check the address of the registry and its token server.",
            )
        return token


def _token_request(
    bearer: dict[str, str], scope: str, credential: Credential | None
) -> HttpRequest:
    service = {"service": bearer["service"]} if "service" in bearer else {}
    asked = {**service, "scope": scope}
    if credential is not None and credential.is_identity_token:
        form = {
            **asked,
            "grant_type": "refresh_token",
            "client_id": _CLIENT_ID,
            "refresh_token": credential.secret,
        }
        return HttpRequest(bearer["realm"], form=form)
    parts = urlsplit(bearer["realm"])
    query = "&".join(filter(None, (parts.query, urlencode(asked))))
    return HttpRequest(
        urlunsplit(parts._replace(query=query)),
        authorization=None if credential is None else _basic(credential),
    )


def _basic(credential: Credential) -> str | None:
    if credential.is_identity_token:
        return None
    login = f"{credential.username}:{credential.secret}".encode()
    return "Basic " + base64.b64encode(login).decode("ascii")
