"""Smoke tests of a manifest, by FORMAT.md alone: what a stranger's reader refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from strangers_settings import NEWER, need


def check_smoke(manifest: Mapping[str, Any]) -> None:  # 8
    stack = manifest.get("stack") or {"services": []}
    tests, names = stack.get("smoke", []), set()
    need(("smoke" in manifest.get("features", [])) == bool(tests), "feature smoke")
    services = {service["name"] for service in stack["services"]}
    for test in tests:
        need(re.fullmatch(r"/[!-~]{0,2000}", test["path"]), "path of a smoke test")
        need(test["service"] in services and test["name"] not in names, "smoke test")
        need(0 < test["port"] < 1 << 16 and 0 < test.get("within", 60) <= 3600, "range")
        method, expected = test.get("method", "GET"), test.get("expect", {})
        need(method in ("GET", "POST"), "method")
        need(method == "POST" or not test.get("body"), "a GET with a body")
        need(100 <= expected.get("status", 200) <= 599, "status")
        need(not expected.get("stream") or not expected.get("json"), "json of a stream")
        for rule in expected.get("json", []):
            need(rule["rule"] in ("type", "is", "contains", "matches"), "rule")
            pattern = rule["value"] if rule["rule"] == "matches" else ""
            newer = r"(?!\A\(\?i\))" + f"({NEWER})"
            need(not re.search(newer, pattern), "a pattern not every reader knows")
        names.add(test["name"])
    if "smoke-secrets" in manifest.get("features", []):
        headers = [header for test in tests for header in test.get("headers", [])]
        asked = [re.findall(r"\$\{secret:([^{}]*)\}", h["value"]) for h in headers]
        known = {secret["label"] for secret in stack.get("secrets", [])}
        need(any(asked) and known.issuperset(*asked), "a secret of a smoke test")
