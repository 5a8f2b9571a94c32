"""`unit`: the systemd unit that audits and starts the stack at boot.

Prints it; `--write` installs it, `--enable` enables it as well.
"""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from typing import List, Optional, Sequence

from sealift_manifests.errors import StagingError
from sealift_manifests.preflight.notes import needs_of
from sealift_manifests.preflight.words import acceptance_of

from sealift_installer import durable
from sealift_installer.commands import (
    Result,
    add_accept,
    add_installed_name,
    add_start_options,
    host_options,
    own_copy,
)
from sealift_installer.health import DEFAULT_WAIT
from sealift_installer.host import Host
from sealift_installer.releases import choose
from sealift_installer.stack import project_of
from sealift_installer.systemd_unit import (
    FOLDER,
    UnitWishes,
    distinct,
    engine_unit,
    systemd_version,
    unit_name,
    unit_text,
)


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)
    add_accept(parser)
    add_start_options(parser)
    parser.add_argument("--write", action="store_true", help=f"write it into {FOLDER}")
    parser.add_argument(
        "--enable", action="store_true", help="write it, and start the stack at boot"
    )
    parser.add_argument("--unit-dir", default=FOLDER, metavar="DIR", help="write there")


def run(args: Namespace, host: Host) -> Result:
    """Make the unit of the release in use."""
    release = choose(host.layout, args.name)
    project_of(release)
    name = release.manifest.name
    engine = host.engine.probe()
    text = unit_text(
        UnitWishes(
            name=name,
            command=_command(host, name),
            start_options=_start_options(args),
            places=distinct(
                [
                    host.layout.state,
                    host.layout.config,
                    engine.root_dir if engine else "",
                ]
            ),
            engine_unit=engine_unit(engine.name if engine else ""),
            wants_gpus=any(
                each.wants_gpu for each in needs_of(release.manifest).services
            ),
            systemd=_systemd(),
        )
    )
    facts = {"bundle": name, "unit": unit_name(name), "text": text, "path": None}
    if not (args.write or args.enable):
        return text.rstrip("\n"), facts
    facts["path"] = path = os.path.join(args.unit_dir, unit_name(name))
    _write(path, text)
    lines = [f"wrote {path}"]
    _systemctl("daemon-reload")
    if args.enable:
        _systemctl("enable", unit_name(name))
        lines.append("enabled: at the next boot the stack is audited and started")
    lines.append(f"next: systemctl start {unit_name(name)}")
    return "\n".join(lines), facts


def _command(host: Host, name: str) -> List[str]:
    python = sys.executable or "/usr/bin/python3"
    return [python, "-I", "-B", own_copy(host, name), *host_options(host)]


def _start_options(args: Namespace) -> List[str]:
    words: List[str] = []
    for slug in sorted(acceptance_of(args.accept).slugs):
        words += ["--accept", slug]
    if args.wait != DEFAULT_WAIT:
        words += ["--wait", str(args.wait)]
    for option in ("layers", "no_fallback", "no_smoke"):
        if getattr(args, option):
            words.append("--" + option.replace("_", "-"))
    return words


def _write(path: str, text: str) -> None:
    try:
        durable.replace_file(path, text.encode("utf-8"), 0o644)
    except OSError as error:
        raise StagingError(
            f"{path} cannot be written: {error.strerror}",
            hint="Run this as root; or print the unit, and put it there yourself.",
        ) from error


def _systemd() -> Optional[int]:
    said = _output(["systemctl", "--version"])
    return systemd_version(said.stdout) if said else None


def _systemctl(*words: str) -> None:
    """Tell systemd; on a host that it does not run there is nobody to be told."""
    if not os.path.isdir("/run/systemd/system"):
        return
    said = _output(["systemctl", *words])
    if said is None or said.returncode:
        told = (said.stderr.strip() if said else "") or "it cannot be run"
        raise StagingError(
            f"`systemctl {' '.join(words)}` failed: {told}",
            hint="The unit is written. Mend this, and run that command yourself.",
        )


def _output(argv: Sequence[str]) -> Optional[subprocess.CompletedProcess[str]]:
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
