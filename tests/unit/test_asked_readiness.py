"""A server without a health check is asked; what it says, or does not, decides."""

from __future__ import annotations

import errno
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace

import hosts
import pytest
from sealift_installer.readiness import Readiness
from sealift_manifests.readiness import NOTE
from test_waiting import STATE

LOADING, READY = 503, 200
TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x46"


class AnEngine:
    """An engine with one container that publishes a port, rootless or not."""

    def __init__(self, port: int, *, rootless: bool = False, host_ip: str) -> None:
        self._bound = [{"HostIp": host_ip, "HostPort": str(port)}]
        self._rootless = rootless

    def find(self, path: str) -> object:
        assert path == f"/containers/{STATE.container}/json"
        return {"NetworkSettings": {"Ports": {"8000/tcp": self._bound}}}

    def facts(self) -> object:
        return SimpleNamespace(rootless=self._rootless)


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """A server that says `status` at /health."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(self.server.status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def stack(*endpoints: object) -> object:
    return SimpleNamespace(facts=json.loads(json.dumps({NOTE: list(endpoints)})))


VLLM = {"service": "llm", "server": "vllm", "port": 8000, "path": "/health"}


def test_one_that_loads_is_not_ready_and_what_it_says_is_kept(server):
    port = server.server_address[1]
    ready = Readiness(AnEngine(port, host_ip="127.0.0.1"), stack(VLLM))

    server.status = LOADING
    assert ready(STATE) is False
    assert ready.said == {
        STATE.container: f"vllm at 127.0.0.1:{port}/health: status 503"
    }
    server.status = READY
    assert ready(STATE) is True


def test_one_that_runs_and_does_not_answer_is_named_for_what_it_says(server):
    engine = AnEngine(server.server_port, host_ip="127.0.0.1")
    ready = Readiness(engine, stack(VLLM))

    server.status = LOADING
    loading = ready.fault_of(STATE)
    server.status = READY

    address = f"127.0.0.1:{server.server_port}"
    assert loading == (
        f"it runs, and is not ready: vllm at {address}/health: status 503"
    )
    assert ready.fault_of(STATE) is None
    # Its health check decides where there is one, and its state where it has ended.
    server.status = LOADING
    assert ready.fault_of(replace(STATE, health="healthy")) is None
    assert ready.fault_of(replace(STATE, status="exited")) is None


@pytest.mark.parametrize("status", [401, 403])
def test_one_that_wants_a_key_is_up_and_answers(server, status):
    port = server.server_address[1]
    ready = Readiness(AnEngine(port, host_ip="127.0.0.1"), stack(VLLM))

    server.status = status

    assert ready(STATE) is True


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Treat each connection to a port in a way of one's own."""
    listeners = []

    def started(treat: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def go() -> None:
            while True:
                try:
                    with listener.accept()[0] as wire:
                        treat(wire)
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        Thread(target=go, daemon=True).start()
        return listener.getsockname()[1]

    yield started
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_nobody_knows_of_one_that_speaks_tls_and_hangs_up_on_http(serve):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    port = serve(lambda wire: tls.wrap_socket(wire, server_side=True).close())
    ready = Readiness(AnEngine(port, host_ip="127.0.0.1"), stack(VLLM))

    assert ready(STATE) is None
    assert "it speaks TLS" in ready.said[STATE.container]


def test_one_that_only_hangs_up_is_not_ready(serve):
    port = serve(lambda wire: None)
    ready = Readiness(AnEngine(port, host_ip="127.0.0.1"), stack(VLLM))

    assert ready(STATE) is False


def test_nobody_knows_of_one_that_speaks_another_protocol(serve):
    def alert(wire: socket.socket) -> None:
        wire.recv(1 << 16)
        wire.sendall(TLS_ALERT)

    ready = Readiness(AnEngine(serve(alert), host_ip="127.0.0.1"), stack(VLLM))

    assert ready(STATE) is None
    assert "not HTTP" in ready.said[STATE.container]


def test_one_that_does_not_listen_is_not_ready():
    port = hosts.free_port()
    ready = Readiness(AnEngine(port, host_ip="0.0.0.0"), stack(VLLM))

    assert ready(STATE) is False
    assert "nobody listens there" in ready.said[STATE.container]


def test_nobody_knows_of_one_to_which_no_network_leads(monkeypatch):
    def unreachable(*_: object, **__: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    ready = Readiness(AnEngine(80, host_ip="127.0.0.1"), stack(VLLM))

    assert ready(STATE) is None


def test_nobody_knows_of_another_service_and_of_one_that_cannot_be_reached(server):
    port = server.server_address[1]
    other = Readiness(AnEngine(port, host_ip="127.0.0.1"), stack())
    none = Readiness(AnEngine(0, host_ip=""), stack(VLLM))

    assert other(STATE) is None
    assert none(STATE) is None
    assert Readiness(AnEngine(port, host_ip=""), None)(STATE) is None
