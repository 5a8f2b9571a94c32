"""Which values a setting takes, and what a site is told about those it does not."""

from __future__ import annotations

import pytest
from sealift_manifests.settings import (
    Setting,
)
from sealift_manifests.site_values import (
    choose,
    stand_in,
    unknown_names,
    value_to_end,
    values_of,
)

PORT = Setting("PORT", "port", "8000")
LENGTH = Setting("CONTEXT_LENGTH", "integer", min="512", max="131072")
SHARE = Setting("GPU_SHARE", "number", "0.90", min="0.1", max="0.98")
LOUD = Setting("LOUD", "boolean", "false")
MODE = Setting("MODE", "choice", "fast", choices=("fast", "exact"))
SIZE = Setting("LOG_SIZE", "text", "50m", pattern="[0-9]+[km]")
DATA = Setting("DATA", "path", "/srv/data")
GPUS = Setting("GPUS", "gpus", "0")
ALL = (PORT, LENGTH, SHARE, LOUD, MODE, SIZE, DATA, GPUS)


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        (PORT, "1", "1"),
        (PORT, "65535", "65535"),
        (LENGTH, "512", "512"),
        (SHARE, "0.980", "0.980"),
        (LOUD, "ON", "true"),
        (LOUD, "no", "false"),
        (MODE, "exact", "exact"),
        (SIZE, "10k", "10k"),
        (DATA, "/mnt/a b", "/mnt/a b"),
        (GPUS, "all", "all"),
        (GPUS, "1,GPU-5f3a", "1,GPU-5f3a"),
        (Setting("NOTE", "text"), "it's $5 {a} # \u00fc", "it's $5 {a} # \u00fc"),
        (Setting("NOTE", "text", "x"), "", ""),
    ],
)
def test_a_value_of_the_right_kind_is_taken(setting, text, value):
    assert setting.read(text) == value


@pytest.mark.parametrize(
    ("setting", "text", "must"),
    [
        (PORT, "0", "must be a port from 1 up to 65535, and is '0'"),
        (PORT, "80 ", "a port"),
        (PORT, "0x50", "a port"),
        (LENGTH, "511", "must be a whole number from 512 up to 131072, and is '511'"),
        (LENGTH, "131073", "up to 131072"),
        (LENGTH, "0600", "a whole number"),
        (LENGTH, "1e3", "a whole number"),
        (LENGTH, "\u0665\u0661\u0662", "a whole number"),
        (SHARE, "0.99", "must be a number from 0.1 up to 0.98"),
        (SHARE, ".9", "a number"),
        (SHARE, "NaN", "a number"),
        (LOUD, "1", "true or false"),
        (MODE, "Fast", "must be one of fast, exact"),
        (SIZE, "50g", "must be text like [0-9]+[km], and is '50g'"),
        (SIZE, "50m\n", "text like"),
        (Setting("NOTE", "text"), "two\nlines", "one line of text"),
        (Setting("NOTE", "text"), "x" * 4097, "one line"),
        (Setting("NOTE", "text"), "\udc80", "one line"),
        (DATA, "data", "must be an absolute path"),
        (DATA, "/a:/b", "without a colon"),
        (DATA, "/a/../etc", "an absolute path"),
        (GPUS, "0,0", "must be all, or GPUs by index or UUID"),
        (GPUS, "0, 1", "by index"),
        (GPUS, "", "by index"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_what_it_must_be(setting, text, must):
    with pytest.raises(ValueError, match=r".") as caught:
        setting.read(text)

    assert must in str(caught.value)


def test_everything_wrong_with_the_values_of_a_site_is_said_at_once():
    given = {"PORT": "x", "GPU_SHARE": "2", "LOUD": "yes"}

    chosen, faults = choose(ALL, given)

    assert [(fault.name, fault.is_missing) for fault in faults] == [
        ("PORT", False),
        ("CONTEXT_LENGTH", True),
        ("GPU_SHARE", False),
    ]
    assert str(faults[1]) == (
        "CONTEXT_LENGTH: must be set: a whole number from 512 up to 131072"
    )
    assert values_of(chosen) == {
        "LOUD": "true",
        "MODE": "fast",
        "LOG_SIZE": "50m",
        "DATA": "/srv/data",
        "GPUS": "0",
    }
    assert [one.setting.name for one in chosen if one.given] == [
        "PORT",
        "GPU_SHARE",
        "LOUD",
    ]


def test_a_name_that_is_no_setting_is_told_with_the_one_that_may_be_meant():
    slip, other = unknown_names(ALL, ["context_lenght", "PORT", "XYZ"])

    assert "did you mean CONTEXT_LENGTH?" in slip.message
    assert "did you mean" not in other.message
    assert "settings: CONTEXT_LENGTH, DATA" in other.message


@pytest.mark.parametrize("setting", ALL, ids=lambda each: each.name)
def test_what_stands_in_for_a_value_is_one(setting):
    open_one = Setting(setting.name, setting.type, None, *fields_of(setting))

    if setting is not SIZE:
        assert open_one.read(stand_in(open_one)) == stand_in(open_one)


@pytest.mark.parametrize(
    ("setting", "given", "served", "value"),
    [
        (PORT, "8001", "8002", "8001"),
        (PORT, "x", "8002", "8002"),
        (PORT, "x", None, "8000"),
        (PORT, None, None, "8000"),
        (LENGTH, "1", None, "512"),
        (LOUD, "x", "Yes", "true"),
        # What a pattern would have to be matched for counts for nothing.
        (SIZE, "8 GiB", None, "50m"),
        (SIZE, "10m", "20m", "20m"),
        (Setting("BIND", "text", pattern="[0-9.]+"), "localhost", None, "0.0.0.0"),
        (Setting("SIZE", "text", pattern="[0-9]+gb"), "8 GiB", None, "1"),
        (Setting("SIZE", "text", pattern="[0-9]+[km]"), "8 GiB", None, "1m"),
        (Setting("BIND", "text"), None, None, "0.0.0.0"),
    ],
)
def test_to_end_a_stack_the_best_known_value_is_taken(setting, given, served, value):
    assert value_to_end(setting, given, served) == value


def test_no_value_of_a_site_is_matched_with_a_pattern_to_end_a_stack():
    slow = Setting("NOTE", "text", pattern="(a|a)*b")

    assert value_to_end(slow, "a" * 80, "served") == "served"


def fields_of(setting):
    return setting.min, setting.max, setting.choices, setting.pattern
