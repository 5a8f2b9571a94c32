"""Values that the ledger has of a release: to bring it back with, and to end it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from sealift_installer.layout import Layout
from sealift_installer.ledger import append
from sealift_installer.site_served import to_return, to_stop
from sealift_manifests.errors import SettingsError
from sealift_manifests.settings import Secret, Setting

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LENGTH = Setting("LENGTH", "integer", default="8192", max="32768")
BIND = Setting("BIND", "text", pattern="[0-9.]+")
SERVED = {"LENGTH": "4096", "BIND": "127.0.0.1"}
UNREADABLE = "- LENGTH\n"


@pytest.fixture
def layout(tmp_path):
    return Layout(str(tmp_path / "state"), str(tmp_path / "config"))


def a_release(*secrets, version="1"):
    stack = SimpleNamespace(settings=(LENGTH, BIND), secrets=secrets, leaves_open=True)
    return SimpleNamespace(name="acme", version=version, serial=1, stack=stack)


def site(layout, text):
    path = Path(layout.site("acme"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def served(layout, values, version="1"):
    Path(layout.state).mkdir(exist_ok=True)
    facts = {"bundle": "acme", "version": version, "serial": 1}
    append(layout, "start", NOW, **facts, settings=values)


def test_a_release_is_brought_back_with_the_site_file_where_that_suits_it(layout):
    served(layout, SERVED)
    site(layout, "LENGTH: 512\nBIND: 10.0.0.1\n")

    back = to_return(layout, a_release())

    assert back.values == {"LENGTH": "512", "BIND": "10.0.0.1"}
    assert str(back) == ""
    assert back.facts() == {"settings": back.values}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("LENGTH: 131072\nBIND: 10.0.0.1\n", "LENGTH: line 1: must be"),
        (UNREADABLE, "cannot be read"),
    ],
)
def test_else_with_its_own_last_values_which_is_told(layout, text, fault):
    served(layout, SERVED)
    served(layout, {"LENGTH": "1", "BIND": "1.1.1.1"}, version="2")
    site(layout, text)

    back = to_return(layout, a_release())

    assert back.values == SERVED
    assert fault in str(back)
    assert fault in back.facts()["site_unsuited"][0]


@pytest.mark.parametrize(
    "values", [{}, {"BIND": "127.0.0.1"}, {"LENGTH": "65536", "BIND": "127.0.0.1"}]
)
def test_values_that_are_not_whole_or_do_not_suit_bring_nothing_back(layout, values):
    served(layout, values)
    site(layout, "LENGTH: 131072\nBIND: 10.0.0.1\n")

    with pytest.raises(SettingsError, match="LENGTH: line 1"):
        to_return(layout, a_release())


def test_no_release_is_brought_back_with_a_secret_that_is_of_no_use(layout):
    served(layout, SERVED)
    site(layout, "LENGTH: 131072\n")
    broken = Path(layout.secrets("acme")) / "api-key"
    broken.parent.mkdir(parents=True)
    broken.write_text("")

    with pytest.raises(SettingsError, match="is empty"):
        to_return(layout, a_release(Secret("api-key", generate=16)))


def test_no_last_value_stands_in_for_a_secret(layout):
    served(layout, SERVED)
    site(layout, "LENGTH: 131072\nBIND: 10.0.0.1\n")

    with pytest.raises(SettingsError, match="token: this secret"):
        to_return(layout, a_release(Secret("token")))


@pytest.mark.parametrize("text", ["LENGTH: x\nBIND: localhost\n", UNREADABLE])
def test_what_it_was_served_with_ends_a_stack_whose_site_file_is_wrong(layout, text):
    site(layout, text)
    never_started = to_stop(layout, a_release())

    served(layout, SERVED)

    assert to_stop(layout, a_release()) == SERVED
    assert never_started == {"LENGTH": "8192", "BIND": "0.0.0.0"}
