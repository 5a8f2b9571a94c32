"""The collector of cycles rests while a large document is parsed, and goes on then."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from sealift_manifests.index import Index, dump_index, parse_index
from sealift_manifests.parallel import no_collecting


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    yield
    gc.enable()


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_is_left_as_it_was_found(was_on):
    (gc.enable if was_on else gc.disable)()

    with no_collecting():
        assert not gc.isenabled()

    assert gc.isenabled() == was_on


def test_it_goes_on_after_an_index_and_after_a_failure():
    parse_index(dump_index(Index((), (), {})))
    assert gc.isenabled()

    with pytest.raises(KeyError), no_collecting():
        raise KeyError
    assert gc.isenabled()
