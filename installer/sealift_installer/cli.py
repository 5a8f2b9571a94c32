"""The command line of the installer, and the one place where errors are caught."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import traceback
from importlib import import_module
from types import ModuleType
from typing import Any, Dict, List, Mapping, Optional, Sequence

from sealift_manifests.errors import DriftError, SealiftError

from sealift_installer.engine import Engine
from sealift_installer.host import Host
from sealift_installer.layout import DEFAULT_CONFIG, DEFAULT_STATE, Layout
from sealift_installer.progress import AUTO, STYLES
from sealift_installer.report import Report

COMMANDS = (
    *("survey", "preflight", "verify", "repair-request", "install", "gpu-check"),
    *("start", "stop", "status", "smoke", "logs", "diagnose", "settings", "audit"),
    *("unit", "ollama-merge", "receipt", "releases", "rollback", "prune"),
    *("uninstall",),
)
"""The modules of `sealift_installer.commands`, as they are listed."""

_INTERRUPTED = 130
_BUG = 1


def main(argv: Optional[List[str]] = None) -> int:
    """Run one command; return its exit code."""
    signal.signal(signal.SIGTERM, _stop_cleanly)
    words = sys.argv[1:] if argv is None else argv
    commands = _imported(words)
    args = _parser(commands).parse_args(words)
    report = Report(as_json=args.json, style=args.progress)
    os.umask(0o022)
    try:
        layout = Layout(
            os.path.abspath(args.state_dir), os.path.abspath(args.config_dir)
        )
        host = Host(layout, Engine.connect(args.engine), report)
        text, facts = commands[args.command].run(args, host)
    except SealiftError as error:
        report.failure(args.command, error, _details(error))
        return error.exit_code
    except KeyboardInterrupt:
        words = ["python3", "-I", "-B", *(sys.argv if argv is None else argv)]
        report.interrupted(" ".join(map(shlex.quote, words)))
        return _INTERRUPTED
    except Exception:
        traceback.print_exc()
        report.step("This is a fault in Sealift. Please report the lines above.")
        return _BUG
    report.result(args.command, text, facts)
    return 0


def _stop_cleanly(number: int, frame: object) -> None:
    """Treat a request to end like Ctrl-C."""
    raise KeyboardInterrupt


def _details(error: SealiftError) -> Dict[str, Any]:
    if isinstance(error, DriftError) and error.drift:
        return {"drift": [vars(drift) for drift in error.drift]}
    return dict(error.facts)


def _imported(words: Sequence[str]) -> Dict[str, ModuleType]:
    """Import the command that is named, or all of them where that is not clear.

    Nothing is imported later: the medium of this program may be out of its slot then.
    """
    names = words[:1] if words and words[0] in COMMANDS else COMMANDS
    modules = {name: name.replace("-", "_") for name in names}
    return {
        name: import_module(f"sealift_installer.commands.{module}")
        for name, module in modules.items()
    }


def _parser(modules: Mapping[str, ModuleType]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sealift-installer",
        description="Verify, install, start and audit a Sealift bundle on this host. "
        "Needs no network and nothing but Python 3.8 or later.",
        epilog="Exit codes: 0 done, 1x the bundle is not trusted or damaged, 3x the "
        "host lacks something, 4x a change failed, 50 the audit found drift.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True
    for name, module in modules.items():
        sub = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        module.configure(sub)
        _add_common(sub)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("host")
    group.add_argument(
        "--state-dir", default=DEFAULT_STATE, metavar="DIR", help="default %(default)s"
    )
    group.add_argument(
        "--config-dir",
        default=DEFAULT_CONFIG,
        metavar="DIR",
        help="default %(default)s",
    )
    group.add_argument(
        "--engine", metavar="SOCKET", help="the container engine's Unix socket"
    )
    group.add_argument(
        "--json", action="store_true", help="print the result as JSON, and nothing else"
    )
    group.add_argument(
        "--progress",
        choices=STYLES,
        default=AUTO,
        help="how to show what is being done on standard error: auto is a changing "
        "line on a terminal, and lines elsewhere; json is lines for programs",
    )
