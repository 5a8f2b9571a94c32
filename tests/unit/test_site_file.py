"""A site file means to us what it means to YAML, and is changed line by line."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sealift_installer.site_file import read_site_file

WHOLE = """\
# Site settings of the second rack.
PORT: 8001        # beside the old one

CONTEXT_LENGTH: 16384
NOTE: 'it''s: "ours" # not a comment'
PATHS: "C:\\\\ \\"x\\""
"""
SIGNS = "aA1_ -:#'\"\\,[]{}&*!|>%@`~?.=\t\n\r\u00e4\u0085\u2028\ufeffnul/<"
LINE = "aA1_ -:#'\"\\,[]{}&*!|>%@`~?.=\u00e4nul/<"


def test_values_are_read_with_their_quotes_and_comments():
    file, faults = read_site_file(WHOLE)

    assert faults == ()
    assert file.text == WHOLE
    assert file.values == {
        "PORT": "8001",
        "CONTEXT_LENGTH": "16384",
        "NOTE": 'it\'s: "ours" # not a comment',
        "PATHS": 'C:\\ "x"',
    }


def test_a_change_keeps_comments_order_and_the_ends_of_lines():
    file, _ = read_site_file(WHOLE.replace("\n", "\r\n"))

    changed = file.with_value("PORT", "9000").without("NOTE").with_value("NEW", "a b")

    assert changed.text == (
        "# Site settings of the second rack.\r\n"
        "PORT: 9000        # beside the old one\r\n"
        "\r\n"
        "CONTEXT_LENGTH: 16384\r\n"
        'PATHS: "C:\\\\ \\"x\\""\r\n'
        "NEW: 'a b'\n"
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("PORT:8001", "write NAME: value"),
        ("PORT = 8001", "write NAME: value"),
        ("  PORT: 8001", "begins with a space; write NAME: value"),
        ("- PORT", "write NAME: value"),
        ("PORT:", "PORT has no value; take the line out, or write ''"),
        ("PORT: # none", "PORT has no value"),
        ("PORT: [1, 2]", "the value cannot stand so; put it into single quotes"),
        ("PORT: &a 1", "cannot stand so"),
        ("PORT: |", "cannot stand so"),
        ("PORT: 'a", "cannot stand so"),
        ('PORT: "a\\n"', "cannot stand so"),
        ("PORT: a: b", "cannot stand so"),
        ("PORT: ~", "~ means nothing in YAML; put it into quotes"),
        ("PORT:\t8001", "has a tab or a control character"),
        ("PORT: a\u2028b", "has a tab or a control character"),
    ],
)
def test_what_is_not_plain_is_told_with_its_line(line, fault):
    _, faults = read_site_file(f"# first\n{line}\n")

    assert len(faults) == 1
    assert faults[0].startswith("line 2: ")
    assert fault in faults[0]


def test_every_fault_is_told_and_a_name_given_twice_is_one():
    _, faults = read_site_file("A: 1\nB\nA: 2\nC: [\n")

    assert faults == (
        "line 2: write NAME: value",
        "line 3: A is given on line 1 already",
        "line 4: the value cannot stand so; put it into single quotes",
    )


@settings(max_examples=600)
@given(st.one_of(st.text(SIGNS, max_size=24), st.text(LINE).map("A: {}".format)))
@example("A: 1  #")
@example("#\u00851")
@example("---\nA: 1\n---\n")
def test_what_we_read_is_what_yaml_reads(text):
    file, faults = read_site_file(text)

    if not faults:
        assert (yaml.load(text, yaml.BaseLoader) or {}) == file.values
        assert file.text == text


@settings(max_examples=400)
@given(
    st.text(LINE, max_size=24),
    st.sampled_from(["", "# c\nB: 1", "A: 2 # note\nB: 3\n", "A: 'x'  \r\n"]),
)
def test_what_we_write_is_read_again_by_us_and_by_yaml(value, before):
    file, _ = read_site_file(before)

    changed = file.with_value("A", value)

    assert changed.values == {**file.values, "A": value}
    assert yaml.load(changed.text, yaml.BaseLoader) == changed.values
    assert ("# note" in changed.text) == ("# note" in before)
    assert changed.without("A").values == file.without("A").values
