"""Ask a service over HTTP: what comes in time, and what is told when nothing does."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from sealift_installer.asking import AskError, ask
from sealift_installer.reach import Address

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nParis"


@pytest.fixture
def serve() -> Iterator[Callable[..., Address]]:
    """Serve one connection: pieces of an answer, with pauses in seconds between."""
    listeners = []
    asked: list[bytes] = []

    def started(*pieces: bytes | float) -> Address:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def answer() -> None:
            with suppress(OSError), listener.accept()[0] as wire:
                request = wire.recv(1 << 16)
                while request.startswith(b"POST") and not request.endswith(b"}"):
                    request += wire.recv(1 << 16)
                asked.append(request)
                for piece in pieces:
                    if isinstance(piece, bytes):
                        wire.sendall(piece)
                    else:
                        time.sleep(piece)

        threading.Thread(target=answer, daemon=True).start()
        return Address("127.0.0.1", listener.getsockname()[1])

    started.asked = asked
    yield started
    for listener in listeners:
        listener.close()


def test_the_answer_comes_whole_with_the_times_of_its_first_and_last_byte(serve):
    address = serve(OK[:-5], OK[-5:-3], 0.01, OK[-3:])

    reply = ask(address, "GET", "/health", 10)

    assert (reply.status, reply.body) == (200, b"Paris")
    assert 0 < reply.first < reply.seconds


def test_what_is_sent_is_what_the_test_says(serve, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:9")
    address = serve(OK)

    ask(address, "POST", "/v1/x?a=b", 10, headers={"X-A": "1"}, body=b'{"a":1}')

    (asked,) = serve.asked
    assert asked.startswith(b"POST /v1/x?a=b HTTP/1.1\r\n")
    assert b"X-A: 1\r\n" in asked and asked.endswith(b'\r\n\r\n{"a":1}')


@pytest.mark.parametrize(
    "pieces",
    [(5.0,), (b"HTTP/1.1 200 OK\r\n", 5.0), (OK[:-2], 5.0)],
)
def test_an_answer_that_does_not_end_in_time_is_given_up(serve, pieces):
    with pytest.raises(AskError, match="no whole answer in") as caught:
        ask(serve(*pieces), "GET", "/", 0.3)

    assert not caught.value.refused


def test_a_stream_of_small_pieces_does_not_last_for_ever(serve):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    drip = [part for _ in range(40) for part in (b"data: x\n\n", 0.1)]

    with pytest.raises(AskError, match="no whole answer"):
        ask(serve(head, *drip), "GET", "/", 0.5)


def test_what_is_left_of_the_time_is_all_that_is_waited(serve):
    address, times = serve(OK[:-5], 1.0, OK[-5:]), iter([0.0, 59.9])

    with pytest.raises(AskError, match="no whole answer in 60 seconds"):
        ask(address, "GET", "/", 60, clock=lambda: next(times, 59.95))


def test_one_who_hangs_up_may_be_asked_again(serve):
    with pytest.raises(AskError, match="before an answer came") as caught:
        ask(serve(), "GET", "/", 5)

    assert caught.value.refused


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nParis\r\n"


@pytest.mark.parametrize("cut", [OK[:-2], CHUNKED, CHUNKED[:-4]])
def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(serve, cut):
    with pytest.raises(AskError, match="broke off") as caught:
        ask(serve(cut), "GET", "/", 5)

    assert not caught.value.refused


def test_nobody_there_and_no_http_are_told(serve):
    listener = socket.create_server(("127.0.0.1", 0))
    nobody = Address("127.0.0.1", listener.getsockname()[1])
    listener.close()

    with pytest.raises(AskError, match="nobody listens there") as caught:
        ask(nobody, "GET", "/", 5)
    assert caught.value.refused
    with pytest.raises(AskError) as other:
        ask(serve(b"SSH-2.0-OpenSSH\r\n"), "GET", "/", 5)
    assert "\r" not in str(other.value)
