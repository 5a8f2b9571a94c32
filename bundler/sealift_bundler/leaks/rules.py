"""What secrets look like: forms of tokens and keys, and files that hold logins.

Only forms that hardly anything else has, so that a find may stop a build. Fast on
text without one: it looks for short marks before it matches anything.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MOST_TEXT = 1 << 20
"""Bytes of the largest file that is looked into: secrets lie in small ones."""

SecretValues = Mapping[str, tuple[bytes, ...]]
"""The forms that known secrets would have where they leaked, by name."""

_LEAST_ENTROPY = 3.0
"""Bits per character that a real token has; placeholders have less."""


@dataclass(frozen=True)
class _Rule:
    """A form: one of `marks` begins it, `pattern` matches at the mark.

    Its group `secret` must look random.
    """

    name: str
    marks: tuple[bytes, ...]
    pattern: re.Pattern[bytes]


def _rule(name: str, marks: str, pattern: bytes) -> _Rule:
    return _Rule(name, tuple(marks.encode().split()), re.compile(pattern))


_WORD = rb"[A-Za-z0-9]"
_RULES = (
    _rule(
        "hugging-face-token",
        "hf_ api_org_",
        rb"(?:hf_|api_org_)(?P<secret>%b{30,})" % _WORD,
    ),
    _rule(
        "aws-access-key",
        "AKIA ASIA",
        rb"(?:AKIA|ASIA)(?P<secret>[0-9A-Z]{16})(?![0-9A-Z])",
    ),
    _rule(
        "github-token", "ghp_ gho_ ghu_ ghs_ ghr_", rb"gh._(?P<secret>%b{36,})" % _WORD
    ),
    _rule("github-token", "github_pat_", rb"github_pat_(?P<secret>[A-Za-z0-9_]{50,})"),
    _rule("gitlab-token", "glpat-", rb"glpat-(?P<secret>[\w-]{20,})"),
    _rule("openai-key", "sk-", rb"sk-(?:proj-|svcacct-|ant-)?(?P<secret>[\w-]{40,})"),
    _rule("nvidia-key", "nvapi-", rb"nvapi-(?P<secret>[\w-]{40,})"),
    _rule("slack-token", "xox", rb"xox[abeprs]-(?P<secret>[0-9A-Za-z-]{20,})"),
    _rule("google-key", "AIza", rb"AIza(?P<secret>[\w-]{35})(?![\w-])"),
    _rule(
        "private-key",
        "-----BEGIN",
        rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+"
        rb"(?:[\w-]+: .*\s+)*(?P<secret>[A-Za-z0-9+/=\s]{100,}?)"
        rb"\s*-----END (?:[A-Z]+ )*PRIVATE KEY-----",
    ),
)
_BEFORE = re.compile(rb"[A-Za-z0-9_]")
_LOGINS = (
    (r"\.netrc", rb"password\s+\S"),
    (r"\.git-credentials", rb"://[^/\s:@]+:[^/\s@]+@"),
    (r"\.docker/config\.json", rb'"(?:auth|identitytoken)"\s*:\s*"[^"]'),
    (r"huggingface/(?:token|stored_tokens)", rb"\S"),
    (r"\.npmrc", rb"_auth(?:Token)?\s*=\s*[^\s$]"),
    (r"(?:pip\.conf|\.pypirc)", rb"(?:://[^/\s:@]+:[^/\s@$]+@|password\s*[:=]\s*\S)"),
)
_LOGIN_FILES = tuple(
    (re.compile(rf"(?:.*/)?{name}\Z"), re.compile(content)) for name, content in _LOGINS
)
_SPECIMEN = re.compile(
    r"(?:.*/)?(?:tests?|testing|test_[^/]*|testdata|examples?|docs?|man|fixtures)/"
    r"|.*snakeoil"
)
"""Places where keys are printed for everybody to see."""


@dataclass(frozen=True, order=True)
class Leak:
    """A secret that was found: in which file, on which line (from 1), by which rule."""

    path: str
    line: int
    rule: str

    def __str__(self) -> str:
        """Return it for people."""
        path = self.path if self.path.isprintable() else ascii(self.path)
        return f"{path}, line {self.line}: {self.rule}"


def leaks_in(path: str, data: bytes, known: SecretValues | None = None) -> set[Leak]:
    """Return the secrets in a file's bytes; `known` are those of the build."""
    found = {Leak(path, _line(data, at), rule) for at, rule in _matches(data)}
    if _SPECIMEN.match(path):
        found = {leak for leak in found if leak.rule != "private-key"}
    for name, values in (known or {}).items():
        for value in values:
            at = data.find(value)
            if at >= 0:
                found.add(Leak(path, _line(data, at), f"the build's secret {name}"))
    for named, content in _LOGIN_FILES:
        if named.match(path) and (match := content.search(data)):
            found.add(Leak(path, _line(data, match.start()), "login"))
    return found


def _matches(data: bytes) -> Iterator[tuple[int, str]]:
    for rule in _RULES:
        for mark in rule.marks:
            at = data.find(mark)
            while at >= 0:
                begins = not _BEFORE.match(data, at - 1) if at else True
                match = rule.pattern.match(data, at) if begins else None
                if match and _is_random(match["secret"]):
                    yield at, rule.name
                at = data.find(mark, at + len(mark))


def _is_random(secret: bytes) -> bool:
    """Say whether it is no placeholder: by its entropy, and by its own word."""
    if b"EXAMPLE" in secret.upper():
        return False
    counts, size = Counter(secret), len(secret)
    bits = -sum(n / size * math.log2(n / size) for n in counts.values())
    return bits >= _LEAST_ENTROPY


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1
