"""Downloads that are cut, spoiled or repeated still end in true blobs, or in none."""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import nullcontext
from dataclasses import replace

import pytest
from registries import make_image, make_layer, running_registry, sha256
from registry_client import QUICK, find
from registry_fronts import Answer, Seen, passing_on, running_front
from sealift_bundler.registry import fetch
from sealift_manifests.digests import Digest
from sealift_manifests.errors import (
    OutputError,
    SourceContentError,
    SourceUnreachableError,
)

BIG = make_layer({"big": os.urandom(5 << 20)})
IMAGE = make_image([BIG, *(make_layer({f"f{n}": b"x" * n}) for n in range(5))])
BIG_DIGEST = Digest(sha256(BIG.data))
IMAGE_CONFIG = f"/blobs/{sha256(IMAGE.config)}"


pytestmark = pytest.mark.usefixtures("no_login")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory):
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        running.push_image("app:1", IMAGE)
        yield running


def is_big(request: Seen) -> bool:
    return request.path.endswith(BIG_DIGEST)


def cutting(registry, after: int, times: int):
    """Hang up after so many bytes of the big layer, so many times."""
    cuts = iter(range(times))

    def alter(request: Seen, answer: Answer) -> Answer:
        if is_big(request) and next(cuts, None) is not None:
            answer.cut_after = after
        return answer

    return running_front(passing_on(registry.host, alter))


def ranges(front) -> list[str | None]:
    return [request.headers.get("Range") for request in front.seen if is_big(request)]


def test_a_download_that_is_cut_goes_on_where_it_was(registry, tmp_path):
    with cutting(registry, 1_000_000, times=2) as front:
        paths = fetch(find(front.host), tmp_path, policy=QUICK)

    assert paths[BIG_DIGEST].read_bytes() == BIG.data
    first, *others = ranges(front)
    starts = [int(re.match(r"bytes=(\d+)-$", text)[1]) for text in others]
    assert first is None
    assert starts[0] > 700_000
    assert starts[1] > starts[0] + 700_000


def test_a_download_that_moves_on_is_never_given_up(registry, tmp_path):
    with cutting(registry, 1_500_000, times=QUICK.attempts) as front:
        paths = fetch(find(front.host), tmp_path, policy=QUICK)

    assert paths[BIG_DIGEST].read_bytes() == BIG.data


def test_a_run_that_gave_up_is_continued_by_the_next(registry, tmp_path):
    with (
        cutting(registry, 600_000, times=99) as front,
        pytest.raises(SourceUnreachableError, match=f"{BIG_DIGEST.short}.*3 tries"),
    ):
        fetch(find(front.host), tmp_path, policy=QUICK)
    partial = tmp_path / "sha256" / f"{BIG_DIGEST.hex}.partial"
    kept = partial.stat().st_size

    with cutting(registry, 0, times=0) as front:
        paths = fetch(find(front.host), tmp_path, policy=QUICK)

    assert kept > 1_000_000
    assert ranges(front) == [f"bytes={kept}-"]
    assert paths[BIG_DIGEST].read_bytes() == BIG.data
    assert not partial.exists()


def test_a_registry_that_cannot_continue_is_asked_from_the_start(registry, tmp_path):
    cuts = iter([True])

    def alter(request: Seen, answer: Answer) -> Answer:
        if is_big(request):
            answer = Answer(200, {}, BIG.data)
            answer.cut_after = 800_000 if next(cuts, False) else None
        return answer

    with running_front(passing_on(registry.host, alter)) as front:
        paths = fetch(find(front.host), tmp_path, policy=QUICK)

    assert len(ranges(front)) == 2
    assert paths[BIG_DIGEST].read_bytes() == BIG.data


@pytest.mark.parametrize("size", [1000, len(BIG.data), len(BIG.data) + 5])
def test_a_rotten_beginning_is_fetched_again(registry, tmp_path, size):
    (tmp_path / "sha256").mkdir()
    (tmp_path / "sha256" / f"{BIG_DIGEST.hex}.partial").write_bytes(b"r" * size)

    paths = fetch(find(registry.host), tmp_path, policy=QUICK)

    assert paths[BIG_DIGEST].read_bytes() == BIG.data


def test_what_is_there_and_true_is_not_fetched_again(registry, tmp_path):
    with cutting(registry, 0, times=0) as front:
        resolved = find(front.host)
        first = fetch(resolved, tmp_path, policy=QUICK)
        asked = len(front.seen)
        calls: list[int] = []
        again = fetch(resolved, tmp_path, calls.append, policy=QUICK)

    assert again == first
    assert len(front.seen) == asked
    assert calls[-1] == resolved.size


def test_a_kept_blob_with_one_wrong_byte_is_fetched_again(registry, tmp_path):
    resolved = find(registry.host)
    path = fetch(resolved, tmp_path, policy=QUICK)[BIG_DIGEST]
    path.write_bytes(BIG.data[:-1] + bytes([BIG.data[-1] ^ 1]))

    fetch(resolved, tmp_path, policy=QUICK)

    assert path.read_bytes() == BIG.data


def test_wrong_bytes_are_never_kept_and_the_image_and_registry_are_named(
    registry, tmp_path
):
    def alter(request: Seen, answer: Answer) -> Answer:
        if is_big(request):
            answer.body = answer.body[:-1] + bytes([answer.body[-1] ^ 1])
        return answer

    with (
        running_front(passing_on(registry.host, alter)) as front,
        pytest.raises(SourceContentError) as caught,
    ):
        fetch(find(front.host), tmp_path, policy=QUICK)

    for word in (BIG_DIGEST.short, "app:1", front.host):
        assert word in caught.value.message
    assert not (tmp_path / "sha256" / BIG_DIGEST.hex).exists()
    assert len(ranges(front)) == 1


@pytest.mark.parametrize("change", [+1, -1])
def test_a_blob_of_another_size_than_promised_is_refused(registry, tmp_path, change):
    def alter(request: Seen, answer: Answer) -> Answer:
        if is_big(request):
            answer.body = (answer.body + b"!")[: len(BIG.data) + change]
        return answer

    with (
        running_front(passing_on(registry.host, alter)) as front,
        pytest.raises(
            SourceContentError, match=rf"{len(BIG.data) + change} bytes, not"
        ),
    ):
        fetch(find(front.host), tmp_path, policy=QUICK)

    assert len(ranges(front)) == 1


@pytest.mark.parametrize("part", ["/manifests/", IMAGE_CONFIG])
def test_a_manifest_or_config_with_wrong_bytes_is_refused(registry, part):
    def alter(request: Seen, answer: Answer) -> Answer:
        if part in request.path:
            answer.body = answer.body.replace(b"l", b"L", 1)
        return answer

    with (
        running_front(passing_on(registry.host, alter)) as front,
        pytest.raises(SourceContentError, match="wrong bytes"),
    ):
        find(front.host)


def test_an_answer_that_ends_early_without_a_word_is_not_asked_for_for_ever(
    registry, tmp_path
):
    def alter(request: Seen, answer: Answer) -> Answer:
        if is_big(request):
            return Answer(200, {"Transfer-Encoding": "chunked"}, b"0\r\n\r\n")
        return answer

    with (
        running_front(passing_on(registry.host, alter)) as front,
        pytest.raises(SourceUnreachableError, match="3 tries: the answer ended early"),
    ):
        fetch(find(front.host), tmp_path, policy=QUICK)

    assert len(ranges(front)) == 3


def test_another_range_than_asked_for_is_not_added(registry, tmp_path):
    everything = f"bytes 0-{len(BIG.data) - 1}/{len(BIG.data)}"
    cuts = iter([True])

    def alter(request: Seen, answer: Answer) -> Answer:
        if "Range" in request.headers:
            return Answer(206, {"Content-Range": everything}, BIG.data)
        if is_big(request) and next(cuts, False):
            answer.cut_after = 800_000
        return answer

    with running_front(passing_on(registry.host, alter)) as front:
        paths = fetch(find(front.host), tmp_path, policy=QUICK)

    assert paths[BIG_DIGEST].read_bytes() == BIG.data
    assert len(ranges(front)) == 3


def test_a_stream_without_end_is_left_at_the_promised_size(registry, tmp_path):
    def alter(request: Seen, answer: Answer) -> Answer:
        if is_big(request):
            chunk = BIG.data + b"!" * (1 << 20)
            framed = b"%x\r\n%s\r\n" % (len(chunk), chunk)
            answer.headers["Transfer-Encoding"] = "chunked"
            answer.body = framed * 2
        return answer

    with (
        running_front(passing_on(registry.host, alter)) as front,
        pytest.raises(SourceContentError, match="more than"),
    ):
        fetch(find(front.host), tmp_path, policy=QUICK)

    largest = max(path.stat().st_size for path in (tmp_path / "sha256").iterdir())
    assert largest <= len(BIG.data)


def test_a_server_that_is_busy_is_asked_again(registry, tmp_path):
    troubles = iter([503, 429])

    def alter(request: Seen, answer: Answer) -> Answer:
        if is_big(request) and (status := next(troubles, None)):
            return Answer(status, {"Retry-After": "0"})
        return answer

    with running_front(passing_on(registry.host, alter)) as front:
        paths = fetch(find(front.host), tmp_path, policy=QUICK)

    assert len(ranges(front)) == 3
    assert paths[BIG_DIGEST].read_bytes() == BIG.data


def test_the_first_failure_ends_the_waiting_of_the_others(registry, tmp_path):
    waiting = threading.Event()

    def alter(request: Seen, answer: Answer) -> Answer:
        if is_big(request):
            waiting.set()
            return Answer(503, {"Retry-After": "50"})
        if "/blobs/" not in request.path or IMAGE_CONFIG in request.path:
            return answer
        waiting.wait(5)
        return Answer(404)

    with running_front(passing_on(registry.host, alter)) as front:
        resolved = find(front.host)
        began = time.monotonic()
        with pytest.raises(SourceContentError):
            fetch(resolved, tmp_path, policy=QUICK)

    assert time.monotonic() - began < 20


def test_a_server_that_falls_silent_is_given_up_on(registry, tmp_path):
    enough = threading.Event()

    def alter(request: Seen, answer: Answer) -> Answer:
        if is_big(request):
            enough.wait(10)
        return answer

    impatient = replace(QUICK, stall_timeout=0.5)
    with running_front(passing_on(registry.host, alter)) as front:
        resolved = find(front.host)
        try:
            with pytest.raises(SourceUnreachableError, match=r"nothing for 0\.5 s"):
                fetch(resolved, tmp_path, policy=impatient)
        finally:
            enough.set()


def test_two_runs_over_one_directory_do_not_spoil_each_other(registry, tmp_path):
    resolved = find(registry.host)
    results: list[object] = []

    def run() -> None:
        results.append(fetch(resolved, tmp_path, policy=QUICK))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 3
    assert (tmp_path / "sha256" / BIG_DIGEST.hex).read_bytes() == BIG.data
    assert not list((tmp_path / "sha256").glob("*.partial"))


def test_a_place_that_cannot_be_written_is_named(registry, tmp_path):
    (tmp_path / "sha256").write_text("a file is in the way")

    with pytest.raises(OutputError, match=str(tmp_path)):
        fetch(find(registry.host), tmp_path, policy=QUICK)


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, SourceContentError), (403, SourceUnreachableError)],
)
def test_a_blob_that_is_gone_or_refused_is_told_apart(
    registry, tmp_path, status, error
):
    def alter(request: Seen, answer: Answer) -> Answer:
        return Answer(status) if is_big(request) else answer

    with (
        running_front(passing_on(registry.host, alter)) as front,
        pytest.raises(error, match="app"),
    ):
        fetch(find(front.host), tmp_path, policy=QUICK)


def test_the_blobs_in_work_are_told(registry, tmp_path):
    begun: list[str] = []

    paths = fetch(
        find(registry.host),
        tmp_path,
        item=lambda name: nullcontext(begun.append(name)),
    )

    assert sorted(begun) == sorted(f"blob {digest.short}" for digest in paths)
