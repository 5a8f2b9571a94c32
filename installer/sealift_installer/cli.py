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
from typing import Any, Dict, List, Mapping, Optional

from sealift_manifests.errors import DriftError, SealiftError

from sealift_installer.engine import Engine
from sealift_installer.host import Host
from sealift_installer.layout import DEFAULT_CONFIG, DEFAULT_STATE, Layout
from sealift_installer.progress import AUTO, STYLES
from sealift_installer.report import Report

COMMANDS = {
    "survey": "write down what this host is, to be carried to where bundles are made",
    "preflight": "say whether this host will do for a bundle, and what to mend",
    "verify": "check the signature and every byte of a bundle, on each of its media",
    "repair-request": "write down what is missing or damaged, for the people who "
    "built the bundle",
    "install": "verify a bundle, stage its weights, load its images, make "
    "it the one in use",
    "gpu-check": "ask CUDA in the bundle's own images which GPUs it sees",
    "start": "audit, start the stack, wait until it is healthy, run its smoke tests",
    "stop": "stop the stack",
    "status": "show what is installed, what runs and how well",
    "smoke": "run the smoke tests of the running stack",
    "logs": "show what the stack's containers wrote",
    "diagnose": "say what is wrong with the running stack, with known causes "
    "and remedies",
    "settings": "show and change what this site decides: settings and secrets",
    "audit": "hash everything installed and compare it with the signed manifest",
    "unit": "print or install the systemd unit that audits and starts "
    "the stack at boot",
    "ollama-merge": "copy the Ollama models of a release into the store of an "
    "Ollama on this host",
    "receipt": "write down what is installed, so that the next bundle can leave it out",
    "releases": "list the releases that are installed, and what each holds",
    "rollback": "go back to the release that was in use before, or to another one",
    "prune": "remove releases that are not needed any more, and leftovers; asks first",
    "uninstall": "remove a bundle: containers, volumes, images and weights no "
    "other needs",
}
"""What each module of `sealift_installer.commands` does, as they are listed."""

_INTERRUPTED = 130
_BUG = 1


def main(argv: Optional[List[str]] = None) -> int:
    """Run one command; return its exit code."""
    signal.signal(signal.SIGTERM, _stop_cleanly)
    words = sys.argv[1:] if argv is None else argv
    # Other words may look like commands: the parser decides, and ends this if none is.
    named = {word: _imported(word) for word in words if word in COMMANDS}
    args = _parser(named).parse_args(words)
    report = Report(as_json=args.json, style=args.progress)
    os.umask(0o022)
    try:
        layout = Layout(
            os.path.abspath(args.state_dir), os.path.abspath(args.config_dir)
        )
        host = Host(layout, Engine.connect(args.engine), report)
        text, facts = named[args.command].run(args, host)
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


def _imported(name: str) -> ModuleType:
    """Import a command.

    Nothing is imported later: the medium of this program may be out of its slot then.
    """
    module = name.replace("-", "_")
    return import_module(f"sealift_installer.commands.{module}")


def _parser(named: Mapping[str, ModuleType]) -> argparse.ArgumentParser:
    """Return what reads the words; of commands that are not named only the names."""
    parser = argparse.ArgumentParser(
        prog="sealift-installer",
        description="Verify, install, start and audit a Sealift bundle on this host. "
        "Needs no network and nothing but Python 3.8 or later.",
        epilog="Exit codes: 0 done, 1x the bundle is not trusted or damaged, 3x the "
        "host lacks something, 4x a change failed, 50 the audit found drift.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True
    for name, told in COMMANDS.items():
        sub = commands.add_parser(name, help=told)
        if name in named:
            sub.description = named[name].__doc__
            named[name].configure(sub)
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
