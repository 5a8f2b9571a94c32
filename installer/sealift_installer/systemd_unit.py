"""The systemd unit that starts a stack at boot, audited before it serves. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterable, Optional, Sequence, Tuple

from sealift_manifests.errors import FellBackError

FOLDER = "/etc/systemd/system"

FIRST_THAT_RESTARTS = 244
"""The first systemd that restarts a unit of the type oneshot; older ones refuse it."""

FINAL = (10, 11, 12, 13, 14, 15, 16, 17, 18, 45, 50)
"""Exit codes that trying again does not mend: trust, damage, drift."""

FELL_BACK = FellBackError.exit_code
"""The exit code of a start that ends with the release before serving."""

STOP_OPTIONS = ("--at-once",)
START_OPTIONS = ("--wait-for-lock",)
"""Another bundle's start, or an install, may hold the lock for hours: nothing that is
not audited serves meanwhile, and then it is this one's turn."""

_GPU_UNITS = (
    "nvidia-persistenced.service",
    "nvidia-fabricmanager.service",
    "nvidia-cdi-refresh.service",
)
"""What makes GPUs ready; a unit that a host does not have is passed over."""

_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+\Z")


@dataclass(frozen=True)
class UnitWishes:
    """What a unit is made of.

    `command` starts the installer, without a verb. `places` are directories that must
    be mounted, `engine_unit` the engine's own unit. `systemd` None: not known.
    """

    name: str
    command: Sequence[str]
    start_options: Sequence[str]
    places: Sequence[str]
    engine_unit: str
    wants_gpus: bool
    systemd: Optional[int] = None


def unit_name(bundle: str) -> str:
    """Return what a bundle's unit is called."""
    return f"sealift-{bundle}.service"


def unit_text(wishes: UnitWishes) -> str:
    """Return the text of the unit."""
    lines = [
        f"# Made by `sealift-installer unit {wishes.name}`; make it anew instead of",
        "# editing it, or put changes into a drop-in (`systemctl edit`).",
        *_order(wishes),
        "",
        *_service(wishes),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _order(wishes: UnitWishes) -> Iterable[str]:
    yield "[Unit]"
    yield f"Description=Sealift bundle {wishes.name}, audited before it serves"
    yield f"Requires={wishes.engine_unit}"
    after = [wishes.engine_unit, "network-online.target"]
    wants = ["network-online.target"]
    if wishes.wants_gpus:
        after += _GPU_UNITS
        wants.append(_GPU_UNITS[0])
    yield f"Wants={' '.join(wants)}"
    yield f"After={' '.join(after)}"
    yield f"RequiresMountsFor={' '.join(map(quoted, wishes.places))}"


def _service(wishes: UnitWishes) -> Iterable[str]:
    yield "[Service]"
    yield "Type=oneshot"
    yield "RemainAfterExit=yes"
    yield "# Hashing and loading a large model take as long as they take."
    yield "TimeoutStartSec=infinity"
    yield "TimeoutStopSec=15min"
    yield "# Docker starts what ran before a power cut by itself: nothing of that may"
    yield "# serve before the audit."
    yield f"ExecStartPre={_line(wishes, 'stop', STOP_OPTIONS)}"
    yield f"ExecStart={_line(wishes, 'start', (*START_OPTIONS, *wishes.start_options))}"
    yield f"# {FELL_BACK}: a new release did not come up, and the one before serves."
    yield f"SuccessExitStatus={FELL_BACK}"
    yield "# Stopped so, Docker does not start it at the next boot before the audit."
    yield f"ExecStop={_line(wishes, 'stop', STOP_OPTIONS)}"
    if wishes.systemd is None or wishes.systemd >= FIRST_THAT_RESTARTS:
        yield "Restart=on-failure"
        yield "RestartSec=60"
        yield "# Not for what does not mend by itself: trust, damage, drift."
        yield f"RestartPreventExitStatus={' '.join(map(str, FINAL))}"


def _line(wishes: UnitWishes, verb: str, options: Sequence[str] = ()) -> str:
    program, *rest = wishes.command
    words = [*rest[:3], verb, wishes.name, *rest[3:], *options]
    return " ".join(
        (quoted(program), *(quoted(word, variables=True) for word in words))
    )


def quoted(word: str, *, variables: bool = False) -> str:
    """Return a word as systemd reads it back: % and quotes, and with `variables` $."""
    text = word.replace("%", "%%")
    if variables:
        text = text.replace("$", "$$")
    if _PLAIN.match(word):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def systemd_version(said: str) -> Optional[int]:
    """Return the number in what `systemctl --version` says."""
    match = re.match(r"systemd ([0-9]{1,5})\b", said)
    return int(match[1]) if match else None


def engine_unit(engine: str) -> str:
    """Return the unit behind an engine, by the name that it gives itself."""
    return "podman.socket" if "podman" in engine.lower() else "docker.service"


def distinct(places: Iterable[str]) -> Tuple[str, ...]:
    """Return each place once, in order, without those that are not known."""
    return tuple(dict.fromkeys(place for place in places if place))
