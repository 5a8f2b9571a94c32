"""A Modelfile: what `ollama create` is told. Text to value, with all that is wrong.

Instructions are those that a model from GGUF files can have; whatever would have to be
asked of an Ollama or a registry is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sealift_manifests.errors import SpecError

ROLES = ("system", "user", "assistant")
_TEXTS = ("template", "system", "renderer", "parser", "requires")
_INSTRUCTIONS = ("from", "adapter", "license", "message", "parameter", *_TEXTS)
_LONG = '"""'
_INTEGERS = [
    "num_ctx",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "num_thread",
    "num_keep",
    "num_predict",
    "seed",
    "top_k",
    "repeat_last_n",
]
_NUMBERS = [
    "top_p",
    "min_p",
    "typical_p",
    "temperature",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
]
_IGNORED = [
    "penalize_newline",
    "low_vram",
    "f16_kv",
    "logits_all",
    "vocab_only",
    "use_mlock",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
    "tfs_z",
    "num_gqa",
    "numa",
]
"""Parameters of older releases: newer ones warn of them, and go on without."""

_WORD = re.compile(r"([A-Za-z]+)(?:[ \t]+|\Z)")
_PARAMETER = re.compile(r"([A-Za-z0-9_]+)(?:[ \t]+|\Z)")


@dataclass(frozen=True)
class Named:
    """A file that a Modelfile names, and the line where it does."""

    written: str
    line: int


@dataclass
class Modelfile:
    """What a Modelfile says; `notes` are what a person should know about it."""

    weights: list[Named] = field(default_factory=list)
    adapters: list[Named] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    licenses: list[str] = field(default_factory=list)
    messages: list[dict[str, str]] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def parse_modelfile(text: str, where: str) -> Modelfile:
    """Read a Modelfile; raise SpecError with every fault and its line."""
    found = Modelfile()
    faults: list[tuple[int, str]] = []
    for line, name, value in _statements(text, faults):
        fault = _take(found, line, name, value)
        if fault:
            faults.append((line, fault))
    if not found.weights and not faults:
        faults.append((1, "has no FROM; name the GGUF file: FROM ./model.gguf"))
    if faults:
        raise SpecError(
            "\n".join(f"{where}:{line}: {fault}" for line, fault in sorted(faults)),
            hint="Correct these lines of the Modelfile.",
        )
    return found


def _statements(
    text: str, faults: list[tuple[int, str]]
) -> Iterator[tuple[int, str, str]]:
    """Yield line, instruction in small letters, and value of each statement."""
    # Only a newline ends a line: a text may hold other characters that break one.
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    lines = text.removesuffix("\n").split("\n")
    number = 0
    while number < len(lines):
        start, whole = number, lines[number].lstrip()
        line = whole.rstrip()
        number += 1
        if not line or line.startswith("#"):
            continue
        match = _WORD.match(line)
        name = match[1].lower() if match else line.split()[0]
        if name not in _INSTRUCTIONS:
            allowed = ", ".join(word.upper() for word in _INSTRUCTIONS)
            faults.append((start + 1, f"{name[:40]!r} is unknown; allowed: {allowed}"))
            continue
        assert match is not None, "what is known begins with a word"
        head, value = _head(name, line[match.end() :])
        quote = _quote(value)
        if quote:
            # What begins here has not ended: its blanks are the text's own.
            blanks = whole[len(line) :]
            parts = [value[len(quote) :] + blanks]
            while not _ends(parts, quote) and number < len(lines):
                parts.append(lines[number])
                number += 1
            if not _ends(parts, quote):
                faults.append((start + 1, f"the text begun with {quote} has no end"))
                return
            value = "\n".join(parts).rstrip()[: -len(quote)]
        yield start + 1, name, head + value


def _head(name: str, rest: str) -> tuple[str, str]:
    """Take the word before the value off, where an instruction has one."""
    match = _PARAMETER.match(rest) if name in ("parameter", "message") else None
    return (f"{match[1]} ", rest[match.end() :]) if match else ("", rest)


def _quote(value: str) -> str:
    return _LONG if value.startswith(_LONG) else '"' if value.startswith('"') else ""


def _ends(parts: list[str], quote: str) -> bool:
    last = parts[-1].rstrip()
    return last.endswith(quote) and (len(parts) > 1 or len(last) >= len(quote))


def _take(found: Modelfile, line: int, name: str, value: str) -> str:
    """Note what a statement says; return what is wrong with it, if anything."""
    if not value.strip():
        return f"{name.upper()} has no value"
    if name == "from":
        found.weights.append(Named(value, line))
    elif name == "adapter":
        found.adapters.append(Named(value, line))
    elif name == "license":
        found.licenses.append(value)
    elif name == "parameter":
        return _parameter(found, value)
    elif name == "message":
        return _message(found, value)
    elif name in found.texts:
        return f"{name.upper()} stands there twice"
    else:
        found.texts[name] = value
    return ""


def _message(found: Modelfile, value: str) -> str:
    role, _, content = value.partition(" ")
    if role not in ROLES:
        return f"MESSAGE begins with {role[:40]!r}; allowed: {', '.join(ROLES)}"
    if not content:
        return "MESSAGE has no text"
    found.messages.append({"role": role, "content": content})
    return ""


def _parameter(found: Modelfile, written: str) -> str:
    name, _, value = written.partition(" ")
    if not value:
        return f"PARAMETER {name} has no value"
    if name in _IGNORED:
        found.notes.append(f"parameter {name} is ignored by today's Ollama: left out")
        return ""
    if name == "stop":
        found.parameters.setdefault("stop", []).append(value)
        return ""
    try:
        found.parameters[name] = _value(name, value)
    except KeyError:
        known = ", ".join(sorted([*_INTEGERS, *_NUMBERS, "stop", "use_mmap"]))
        return f"{name!r} is no parameter of Ollama; allowed: {known}"
    except ValueError:
        kind = "a whole number" if name in _INTEGERS else "a number"
        kind = "true or false" if name == "use_mmap" else kind
        return f"PARAMETER {name} must be {kind}, not {value[:40]!r}"
    return ""


def _value(name: str, value: str) -> int | float | bool:
    if name in _INTEGERS:
        return int(value)
    if name in _NUMBERS:
        number = float(value)
        if number != number or abs(number) == float("inf"):
            raise ValueError(value)
        return number
    if name == "use_mmap" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError(value) if name == "use_mmap" else KeyError(name)
