"""The NVIDIA container toolkit: its programs, its settings, and dockerd's about it."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Optional

from sealift_manifests.preflight.facts import Toolkit

from sealift_installer.probe.sources import Sources, changed

CTK, CLI = "nvidia-ctk", "nvidia-container-cli"
RUNTIME_HOOK, CDI_HOOK = "nvidia-container-runtime-hook", "nvidia-cdi-hook"
PROGRAMS = (CTK, CLI, RUNTIME_HOOK, CDI_HOOK, "nvidia-container-runtime")
CONFIG = "/etc/nvidia-container-runtime/config.toml"

_RUNTIME = "nvidia-container-runtime"
_NUMBER = re.compile(r"(?:version:?|cli-version:)\s+v?(\d+\.\d+\.\d+\S*)")
_SECTION = re.compile(r"\[([A-Za-z0-9_.-]+)\]\Z")
_SETTING = re.compile(
    r"""([A-Za-z0-9_-]+)\s*=\s*(?:"([^"\\]*)"|'([^']*)'|(true|false))\s*(?:\#.*)?\Z"""
)


def read_toolkit(
    sources: Sources, *, started: Optional[float], rootless: bool
) -> Toolkit:
    """Return what is installed and set; `started` is when the engine was."""
    found = {name: sources.program(name) for name in PROGRAMS}
    nodes = sources.names("/dev/char")
    links = None if nodes is None else any(each.startswith("195:") for each in nodes)
    configured = runtime_configured(sources, daemon_json(sources, rootless=rootless))
    if not any(found.values()):
        return Toolkit(
            installed=False,
            runtime_configured=configured,
            runtime_hook=False,
            cdi_hook=False,
            char_links=links,
        )
    return Toolkit(
        installed=True,
        version=_version(sources, CTK),
        container_cli=_version(sources, CLI),
        runtime_configured=configured,
        runtime_hook=found[RUNTIME_HOOK] is not None,
        cdi_hook=found[CDI_HOOK] is not None,
        changed_after_engine=_changed_after(sources, started, rootless=rootless),
        char_links=links,
        **_settings(sources),
    )


def daemon_json(sources: Sources, *, rootless: bool) -> str:
    """Return where the Docker daemon's settings are."""
    if rootless:
        return f"{sources.home}/.config/docker/daemon.json"
    return "/etc/docker/daemon.json"


def runtime_configured(sources: Sources, path: str) -> Optional[bool]:
    """Say whether a daemon.json names the runtime nvidia; None if it is unreadable."""
    text = sources.read(path)
    if text is None:
        return None if sources.exists(path) else False
    try:
        value = json.loads(text or "{}")
        return "nvidia" in (value.get("runtimes") or {})
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None


def read_settings(text: Optional[str]) -> Dict[str, str]:
    """Return the texts and flags of a TOML file as "section.key": value.

    Only what the toolkit writes on one line is read; all else is passed over.
    """
    found: Dict[str, str] = {}
    section = ""
    for line in (text or "").splitlines():
        stripped = line.strip()
        head, setting = _SECTION.match(stripped), _SETTING.match(stripped)
        if head:
            section = head.group(1)
        elif setting:
            key, *values = setting.groups()
            value = next(each for each in values if each is not None)
            found[f"{section}.{key}" if section else key] = value
    return found


def _version(sources: Sources, program: str) -> Optional[str]:
    ran = sources.run(program, "--version")
    found = _NUMBER.search(ran.said) if ran else None
    return found.group(1) if found else None


def _changed_after(
    sources: Sources, started: Optional[float], *, rootless: bool
) -> Optional[bool]:
    if started is None:
        return None
    programs = map(sources.program, (RUNTIME_HOOK, CDI_HOOK))
    times = [changed(program) for program in programs if program]
    times.append(changed(sources.at(daemon_json(sources, rootless=rootless))))
    return any(when > started for when in times if when is not None)


def _settings(sources: Sources) -> Dict[str, Any]:
    text = sources.read(CONFIG)
    if text is None and sources.exists(CONFIG):
        return {}
    # What the file does not say, and a file that is not there, mean the default.
    found = read_settings(text)
    no_cgroups = found.get("nvidia-container-cli.no-cgroups")
    disabled = found.get("features.disable-cuda-compat-lib-hook")
    return {
        "mode": found.get(f"{_RUNTIME}.mode", ""),
        "no_cgroups": no_cgroups == "true",
        "cuda_compat_mode": found.get(f"{_RUNTIME}.modes.legacy.cuda-compat-mode", ""),
        "compat_hook_disabled": disabled == "true",
    }
