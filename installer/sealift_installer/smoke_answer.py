"""Is this the answer that a smoke test expects? Pure."""

from __future__ import annotations

import json
import re
from typing import Any, Iterator, List, Optional, Tuple

from sealift_manifests.smoke import Expectation, JsonRule

from sealift_installer.engine import printable

SHOWN = 300
"""Characters of an answer that are shown when it is not the expected one."""

_PIECES = (
    "choices.0.delta.content",
    "choices.0.delta.reasoning_content",
    "choices.0.text",
    "message.content",
    "response",
    "token.text",
    "content",
)
"""Where an event of a stream has its text: in the dialects of OpenAI (vLLM, TGI,
llama.cpp, Ollama), and in Ollama's, TGI's and llama.cpp's own."""

_MISSING = object()


def faults_of(expected: Expectation, status: int, body: bytes) -> Tuple[str, ...]:
    """Return in what an answer is not the expected one, each in words; () if it is."""
    text = body.decode("utf-8", "replace")
    return tuple(_faults(expected, status, text))


def _faults(expected: Expectation, status: int, text: str) -> Iterator[str]:
    if status != expected.status:
        yield f"expected the status {expected.status}, and {status} came"
        return
    said = _parsed(text)
    if expected.stream:
        events = events_in(text)
        if not events:
            yield "expected a stream of events, and none came"
            return
        where, known = "what the events say", [joined(events)]
    else:
        where, known = "the answer", [text]
        if said is not _MISSING:
            # As people read it: JSON may have any character as an escape.
            known.append(json.dumps(said, ensure_ascii=False))
    for words in expected.contains:
        if not any(_stands(words, each, expected.ignore_case) for each in known):
            yield f"expected {printable(words, 200)!r} in {where}"
    if expected.json and said is _MISSING:
        yield "expected JSON"
        return
    for rule in expected.json:
        fault = _fault_of(rule, said)
        if fault:
            yield fault


def events_in(text: str) -> Tuple[str, ...]:
    """Return the data of server-sent events, or the lines of a stream of JSON."""
    sent: List[str] = []
    open_event: List[str] = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for line in lines:
        if line.startswith("data:"):
            value = line[len("data:") :]
            open_event.append(value[1:] if value.startswith(" ") else value)
        elif not line and open_event:
            sent.append("\n".join(open_event))
            open_event = []
    if open_event:
        sent.append("\n".join(open_event))
    if sent:
        return tuple(sent)
    return tuple(each for each in lines if isinstance(_parsed(each), dict))


def joined(events: Tuple[str, ...]) -> str:
    """Return what the events of a stream say together."""
    return "".join(_piece(event) for event in events)


def _piece(event: str) -> str:
    value = _parsed(event)
    if value is _MISSING:
        return "" if event.strip() == "[DONE]" else event
    for path in _PIECES:
        found = _at(value, path)
        if isinstance(found, str) and found:
            return found
    return ""


def shown(body: bytes) -> str:
    """Return the beginning of an answer, fit for a terminal."""
    text = body[: 4 * SHOWN].decode("utf-8", "replace")
    return printable(" ".join(text.split()), SHOWN) or "nothing"


def _stands(words: str, text: str, ignore_case: bool) -> bool:
    if ignore_case:
        return words.casefold() in text.casefold()
    return words in text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _MISSING


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _MISSING
    return value


def _fault_of(rule: JsonRule, said: Any) -> Optional[str]:
    found = _at(said, rule.path)
    if found is _MISSING:
        return f"expected something at {rule.path}, and nothing is there"
    if _holds(rule, found):
        return None
    what = {
        "type": f"{rule.value}",
        "is": f"{rule.value}",
        "contains": f"a text with {rule.value!r}",
        "matches": f"a text that matches {rule.value!r}",
    }[rule.rule]
    seen = printable(json.dumps(found, ensure_ascii=False), 200)
    return f"expected {printable(what, 200)} at {rule.path}, and {seen} is there"


def _holds(rule: JsonRule, found: Any) -> bool:
    if rule.rule == "type":
        return _type_of(found) in _ACCEPTED.get(rule.value, (rule.value,))
    if rule.rule == "is":
        return _is_same(json.loads(rule.value), found)
    if not isinstance(found, str):
        return False
    if rule.rule == "contains":
        return rule.value in found
    return re.search(rule.value, found) is not None


def _is_same(wanted: Any, found: Any) -> bool:
    """Compare as JSON does: in Python true is 1, and inside of lists and objects too.

    Without recursion: how deep an answer goes is up to who gives it.
    """
    pairs = [(wanted, found)]
    while pairs:
        one, other = pairs.pop()
        if isinstance(one, dict) and isinstance(other, dict):
            if one.keys() != other.keys():
                return False
            pairs += [(one[key], other[key]) for key in one]
        elif isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            pairs += zip(one, other)
        elif isinstance(one, bool) != isinstance(other, bool) or one != other:
            return False
    return True


_ACCEPTED = {"number": ("number", "integer")}


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    kinds = (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "text"),
        (list, "list"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "object")
