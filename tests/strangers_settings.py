"""The part of the stranger's reader about settings, from FORMAT.md alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

NUMBER = r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?"
INTEGER = r"0|-?[1-9][0-9]{0,17}"
VALUES = {  # 8
    "integer": INTEGER,
    "number": NUMBER,
    "text": r".{0,4096}",
    "boolean": r"(?i:true|yes|on|false|no|off)",
    "choice": r".+",
    "port": r"[1-9][0-9]{0,4}",
    "path": r"/(?!(.*/)?\.\.(/|\Z))[^:\\]{0,1023}",
    "gpus": r"all|(([0-9]{1,3}|(GPU|MIG)-[A-Za-z0-9-]{1,80})(,(?!\Z)|\Z))+",
}
OURS = r"(COMPOSE|DOCKER|BUILDKIT|SEALIFT|OTEL|LD|LC|GLIBC|MALLOC|XDG)_.*"
OTHERS = r"(SSL_|SSH_|CURL_|REQUESTS_|PYTHON|GODEBUG|_MEIPASS|_PYI).*|.*_PROXY"
NAMES = (
    *("PATH", "HOME", "TMPDIR", "LANG", "NLSPATH", "GCONV_PATH", "HOSTALIASES"),
    *("LOCALDOMAIN", "RES_OPTIONS"),
    *("GOTRACEBACK", "GOMAXPROCS", "GOGC", "GOMEMLIMIT"),
)
TAKEN = rf"(?i:{OURS}|{OTHERS}|{'|'.join(NAMES)})"
PART = re.compile(r"(?P<open>\((\?:)?)|(?P<close>\))|(?P<times>[*+?]|\{\d*,?\d*\})|.")
NEWER = r"\(\?(?!:)|[*+?}]\+|\\z"  # 8
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def need(condition: object, what: str) -> None:
    """Refuse the bundle unless the condition holds."""
    if not condition:
        raise ValueError(what)


def check_value(setting: Mapping[str, Any], text: str) -> None:  # 8
    kind, low, high = (setting.get(key) for key in ("type", "min", "max"))
    need(kind in VALUES and not CONTROL.search(text), "type or control character")
    need(re.fullmatch(VALUES[kind], text), "not of its type")
    need(kind != "port" or int(text) < 65536, "port")
    need(kind != "choice" or text in setting["choices"], "no choice")
    need(len(set(text.split(","))) == text.count(",") + 1 or kind != "gpus", "twice")
    need(low is None or Decimal(text) >= Decimal(low), "too low")
    need(high is None or Decimal(text) <= Decimal(high), "too high")
    need(re.fullmatch(setting.get("pattern") or ".*", text), "pattern")


def check_repeated(pattern: str) -> None:  # 8
    text = re.sub(r"\\.|\[\^?\]?(\\.|[^\]\\])*\]", "x", pattern)
    held, group = [0], 0  # 1: a number that varies; 2: such a group, `{N}` times
    for part in PART.finditer(text):
        if part["open"]:
            held.append(0)
        elif part["close"]:
            group = held.pop()
            held[-1] = max(held[-1], group)
            continue
        elif group and part["times"] and part["times"] != "?":
            need(group < 2 and re.fullmatch(r"\{\d\}", part["times"]), "pattern")
            held[-1] = 2
        elif part["times"]:
            held[-1] = max(held[-1], "," in part["times"] or part["times"] in "*+?")
        group = 0


def check_setting(setting: Mapping[str, Any]) -> None:  # 8
    name, kind, choices = setting["name"], setting["type"], setting.get("choices", [])
    need(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", name), "name of a setting")
    need(not re.fullmatch(TAKEN, name) and kind in VALUES, "name taken, or type")
    need(bool(choices) == (kind == "choice"), "choices")
    need(len(set(choices)) == len(choices) and all(choices), "choices")
    bounds = [each for each in map(setting.get, ("min", "max")) if each is not None]
    need(not bounds or kind in ("integer", "number", "port"), "bounds")
    form = NUMBER if kind == "number" else INTEGER
    need(all(re.fullmatch(form, each) for each in bounds), "bounds")
    need(sorted(bounds, key=Decimal) == bounds, "max below min")
    pattern = setting.get("pattern")
    need(pattern is None or kind == "text", "pattern")
    need(len(pattern or "") <= 256, "pattern")
    need(not re.search(NEWER, pattern or ""), "pattern")
    check_repeated(pattern or "")
    for text in (*choices, setting.get("help", ""), pattern or ""):
        need(not CONTROL.search(text), "not one line")
    need(len(setting.get("help", "")) <= 512, "help")
    default = setting.get("default")
    if default is not None:
        need(not set("${}") & set(default), "default")
        check_value(setting, default)


def check_site(manifest: Mapping[str, Any]) -> None:  # 8
    stack = manifest.get("stack") or {}
    settings, secrets = stack.get("settings", []), stack.get("secrets", [])
    named = "settings" in manifest.get("features", [])
    need(
        named == bool(settings or secrets), "settings without the feature, or it alone"
    )
    for setting in settings:
        check_setting(setting)
    names = {setting["name"].upper() for setting in settings}
    labels = {secret["label"] for secret in secrets}
    need(len(names) == len(settings) and len(labels) == len(secrets), "twice")
    for secret in secrets:
        label = r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"
        need(re.fullmatch(label, secret["label"]), "label of a secret")
        count = secret.get("generate")
        need(count is None or 8 <= count <= 1024, "generate")
