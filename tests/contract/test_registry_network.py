"""Tokens and logins stay where they belong; nothing is asked for in the clear."""

from __future__ import annotations

import json
import threading
from urllib.parse import urlsplit

import pytest
from registries import make_image, make_layer, running_registry, sha256
from registry_client import QUICK, find
from registry_fronts import Answer, Seen, passing_on, running_front
from sealift_bundler.registry import fetch, resolve
from sealift_manifests.errors import SourceUnreachableError
from sealift_manifests.references import parse_reference

IMAGE = make_image([make_layer({f"f{n}": b"x" * n}) for n in range(6)])


pytestmark = pytest.mark.usefixtures("no_login")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory):
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        running.push_image("app:1", IMAGE)
        yield running


def guarded_by_tokens(registry, *, good_for: int, blobs_at: str | None = None):
    """A registry whose token server changes its mind every few requests."""
    state = {"token": 0, "left": good_for}
    lock = threading.Lock()
    pass_on = passing_on(registry.host, lambda _request, answer: answer)

    def handle(request: Seen) -> Answer:
        with lock:
            if request.path.startswith("/token"):
                state["token"] += 1
                state["left"] = good_for
                token = {"token": f"secret-{state['token']}"}
                return Answer(200, {}, json.dumps(token).encode())
            known = (
                request.headers.get("Authorization")
                == f"Bearer secret-{state['token']}"
            )
            if not known or not state["left"]:
                realm = f'Bearer realm="http://{request.headers["Host"]}/token"'
                return Answer(401, {"WWW-Authenticate": realm})
            state["left"] -= 1
        if blobs_at and "/blobs/" in request.path:
            return Answer(307, {"Location": f"http://{blobs_at}{request.path}?sig=x"})
        return pass_on(request)

    return running_front(handle)


def test_a_token_refused_in_the_middle_is_renewed(registry, tmp_path):
    with guarded_by_tokens(registry, good_for=5) as front:
        paths = fetch(find(front.host), tmp_path, policy=QUICK)

    assert len(paths) == 7
    assert sum(request.path.startswith("/token") for request in front.seen) >= 3


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "a b", "", 7, None])
def test_a_token_that_would_be_more_than_one_header_is_refused(token):
    def handle(request: Seen) -> Answer:
        if request.path.startswith("/token"):
            return Answer(200, {}, json.dumps({"token": token}).encode())
        realm = f'Bearer realm="http://{request.headers["Host"]}/token"'
        return Answer(401, {"WWW-Authenticate": realm})

    with (
        running_front(handle) as front,
        pytest.raises(SourceUnreachableError, match="without a token"),
    ):
        find(front.host)


def test_a_redirect_to_another_host_does_not_carry_the_token(registry, tmp_path):
    def storage(request: Seen) -> Answer:
        blob = urlsplit(request.path).path.rpartition("/")[2]
        data = {sha256(x.data): x.data for x in IMAGE.layers}
        return Answer(200, {}, data.get(blob, IMAGE.config))

    with (
        running_front(storage, address="127.0.0.2") as elsewhere,
        guarded_by_tokens(registry, good_for=99, blobs_at=elsewhere.host) as front,
    ):
        paths = fetch(find(front.host), tmp_path, policy=QUICK)

    assert len(paths) == 7
    assert any("Authorization" in request.headers for request in front.seen)
    assert len(elsewhere.seen) >= 7
    assert not any("Authorization" in request.headers for request in elsewhere.seen)


def test_a_login_from_netrc_is_not_sent_anywhere(registry, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    with running_front(passing_on(registry.host, lambda _, answer: answer)) as front:
        fetch(find(front.host), tmp_path, policy=QUICK)

    assert not any("Authorization" in request.headers for request in front.seen)


def test_a_401_from_where_a_redirect_led_starts_no_login(registry, tmp_path):
    def lure(request: Seen) -> Answer:
        realm = f'Bearer realm="http://{request.headers["Host"]}/token"'
        return Answer(401, {"WWW-Authenticate": realm})

    with (
        running_front(lure, address="127.0.0.2") as elsewhere,
        guarded_by_tokens(registry, good_for=99, blobs_at=elsewhere.host) as front,
        pytest.raises(SourceUnreachableError),
    ):
        find(front.host)

    assert not any("/token" in request.path for request in elsewhere.seen)


def test_a_redirect_into_the_clear_or_in_a_circle_is_not_followed(registry):
    for target in ("http://198.51.100.1/x", "ftp://127.0.0.1/x", "http://[bad", "/v2/"):
        with (
            running_front(lambda _, to=target: Answer(307, {"Location": to})) as front,
            pytest.raises(SourceUnreachableError),
        ):
            find(front.host)

        assert len(front.seen) <= 6


def test_loopback_is_asked_directly_whatever_proxy_is_set(
    registry, tmp_path, monkeypatch
):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert find(registry.host).manifest == IMAGE.manifest


def test_other_hosts_are_asked_over_https_unless_named_insecure(registry, monkeypatch):
    with running_front(passing_on(registry.host, lambda _, answer: answer)) as front:
        port = front.host.rpartition(":")[2]
        host = f"registry.test:{port}"
        monkeypatch.setenv("http_proxy", f"http://{front.host}")
        monkeypatch.setenv("https_proxy", f"http://{front.host}")
        reference = parse_reference(f"{host}/app:1")

        with pytest.raises(SourceUnreachableError):
            resolve(reference, "linux/amd64", policy=QUICK)
        asked_in_the_clear = len(front.seen)
        resolve(reference, "linux/amd64", policy=QUICK, insecure=frozenset({host}))

    assert asked_in_the_clear == 0
    assert front.seen
