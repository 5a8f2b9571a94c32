"""Fixtures that several unit tests share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sealift_bundler.signing import Signer
from trust_cases import signer


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Signer]:
    """Give the signer of a name, the same one each time."""
    folder = tmp_path_factory.mktemp("keys")
    return lambda name: signer(name, folder)
