"""What a command that was killed had said of its progress: lines of JSON."""

from __future__ import annotations

import json
from typing import Any


def events_of(text: str) -> list[dict[str, Any]]:
    """Return the events that were said; the last line may be cut off."""
    return [json.loads(line) for line in text.splitlines() if _is_whole(line)]


def phase_of(events: list[dict[str, Any]]) -> str:
    """Say what a run was doing when it spoke last."""
    phase = "starting"
    for event in events:
        if event["event"] in ("begin", "progress"):
            phase = str(event["task"])
        elif event["event"] == "end":
            phase = f"after {event['task']}"
    return phase


def _is_whole(line: str) -> bool:
    return line.startswith("{") and line.endswith("}")
