"""Why does a container not serve? Known causes with remedies, from what it said. Pure.

Looks at the last lines of its log, the engine's error and the container's end. What
has a GPU's driver or the container toolkit as its cause is the preflight's to name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, Iterator, Match, Optional, Tuple

from sealift_manifests.preflight.explain import kind_of, remedy_of
from sealift_manifests.preflight.tables import default_tables
from sealift_manifests.sizes import human

from sealift_installer.causes import RULES, Rule
from sealift_installer.engine import printable

_MOST = 3
_LONGEST = 160


@dataclass(frozen=True)
class Evidence:
    """What is known of a container that does not serve.

    `log` is what it wrote last, without colours, `engine` what the engine or Compose
    say of it. `exit_code` None: it runs. `memory_limit` is in bytes, 0 for none.
    """

    log: str = ""
    engine: str = ""
    exit_code: Optional[int] = None
    out_of_memory: bool = False
    memory_limit: int = 0


@dataclass(frozen=True)
class Cause:
    """A known cause: what is so, and what to do."""

    slug: str
    what: str
    remedy: str

    def facts(self) -> Dict[str, str]:
        """Return it for --json."""
        return dict(vars(self))

    def __str__(self) -> str:
        return f"known cause, {self.slug}: {self.what}\n  remedy: {self.remedy}"


def causes_of(evidence: Evidence) -> Tuple[Cause, ...]:
    """Return the causes that the evidence names, the surest first; () for none."""
    found: Dict[str, Cause] = {}
    for cause in _found(evidence):
        found.setdefault(cause.slug, cause)
    return tuple(found.values())[:_MOST]


def _found(evidence: Evidence) -> Iterator[Cause]:
    yield from _of_memory(evidence)
    texts = {"log": evidence.log, "engine": evidence.engine}
    named = False
    for rule in RULES:
        match = _match(rule, texts)
        if match and not (rule.is_general and named):
            named = True
            yield _cause(rule, match)
    yield from _of_signal(evidence)
    for text in texts.values():
        kind = kind_of(text)
        # A rule of ours that matches has the figures, too.
        if kind and not (named and kind.slug.startswith("memory-")):
            remedy = remedy_of(kind, default_tables())
            yield Cause(kind.slug, kind.meaning, remedy)


def _match(rule: Rule, texts: Dict[str, str]) -> Optional[Match[str]]:
    for source in rule.sources:
        for pattern in rule.patterns:
            # The last one that was said counts: a server may have tried again.
            for match in reversed(list(pattern.finditer(texts[source]))):
                return match
    return None


def _cause(rule: Rule, match: Match[str]) -> Cause:
    given = {
        name: printable(value.strip(), _LONGEST)
        for name, value in match.groupdict().items()
        if value
    }
    what = next(
        text for text in rule.whats if set(re.findall(r"{(\w+)}", text)) <= set(given)
    )
    return Cause(rule.slug, what.format(**given), rule.remedy.format(**given))


def _of_memory(evidence: Evidence) -> Iterator[Cause]:
    if not evidence.out_of_memory:
        return
    if evidence.memory_limit:
        limit = f"its limit of {human(evidence.memory_limit)} of main memory"
        yield Cause(
            "host-memory-limit",
            f"the kernel killed it, because it took more than {limit}",
            "Raise `mem_limit` or `deploy.resources.limits.memory` of the service in "
            "the next bundle, or load less: a smaller model, context or cache.",
        )
    else:
        yield Cause(
            "host-memory-full",
            "the kernel killed it, because this host has no main memory left",
            "See who takes it (`free -h`, `ps aux --sort=-rss`); end that, or serve "
            "a smaller model.",
        )


def _of_signal(evidence: Evidence) -> Iterator[Cause]:
    if evidence.exit_code == 137 and not evidence.out_of_memory:
        yield Cause(
            "killed",
            "it was killed (signal 9), and not for a limit of the container",
            "Somebody stopped it, or the kernel needed memory for the whole host: "
            "`dmesg | grep -i 'out of memory'` tells.",
        )
    elif evidence.exit_code == 132:
        yield Cause(
            "cpu-too-old",
            "its program uses an instruction that this CPU does not have (signal 4)",
            "Use an image that is built for this CPU, often one without AVX2 or "
            "AVX-512.",
        )
    elif evidence.exit_code == 135:
        yield Cause(
            "shared-memory-too-small",
            "it ended with a bus error (signal 7): /dev/shm was full",
            "Give the service a larger `shm_size`, such as 8g, in the next bundle.",
        )
