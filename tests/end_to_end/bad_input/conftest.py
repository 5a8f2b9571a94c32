"""A shop of bundles, built once, and a new host for each test.

Each test runs the real installer on a real engine, and compares the host before and
after: every file below its directories, and everything of its name in the engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hosts
import making
import pytest
from making import Host, Outcome, copied
from shops import Shop, a_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The bundles, and who signed them."""
    return a_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def host(tmp_path: Path, shop: Shop, engine: hosts.Engine) -> Iterator[Host]:
    """A new host with nothing installed; what it loads is removed at the end."""
    root = tmp_path / "host"
    root.mkdir()
    yield Host(root, shop.pyz)
    making.clear_engine(engine, shop.name)


@pytest.fixture
def bundle(tmp_path: Path, shop: Shop) -> Path:
    """A copy of the good bundle, to spoil."""
    return copied(shop.good, tmp_path / "medium")


@pytest.fixture
def refused(host: Host, shop: Shop, engine: hosts.Engine) -> Any:
    """Run a command that must fail, and see that it changed nothing."""

    def attempt(code: int, *words: str, args: list[Any], on: Host = host) -> Outcome:
        before = host.listing(), making.in_engine(engine, shop.name)
        outcome = on.run(*args)
        outcome.expect(code, f"exit code {code}]", *words)
        assert "Traceback" not in outcome.said
        assert (host.listing(), making.in_engine(engine, shop.name)) == before
        return outcome

    return attempt
