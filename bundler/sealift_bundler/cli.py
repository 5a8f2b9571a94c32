"""The command `sealift`, and the one place where its errors are caught."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
import typer.main
from sealift_manifests.errors import SealiftError
from typer.core import TyperGroup

from sealift_bundler import __version__
from sealift_bundler.progress import say_json

_INTERRUPTED = 130
_ANEW = ("--fresh", "--from-start")
_COMMANDS = (
    *("init", "keygen", "plan", "build", "copy", "inspect", "verify"),
    *("rehearse", "diff", "repair", "installer"),
)
"""The modules of `sealift_bundler.commands`, as they are listed."""


class _Imported(Mapping[str, Any]):
    """Imports a command when it is wanted: to import all takes half a second."""

    def __getitem__(self, name: str) -> Any:
        if name not in _COMMANDS:
            raise KeyError(name)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name)(import_module(f"sealift_bundler.commands.{name}").run)
        return typer.main.get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class _Group(TyperGroup):
    """All commands, none of which is imported yet."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Imported()  # type: ignore[assignment]  # it is only read


app = typer.Typer(
    name="sealift",
    cls=_Group,
    help="Carry an LLM serving stack across an air gap, in one signed bundle.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Exit codes: 0 done, 2 usage, 1x the bundle is not trusted or damaged, "
    "2x a source, the spec or the output, 30 a surveyed host will not do, "
    "40 the engine, 130 interrupted.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sealift {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Say the version."
    ),
) -> None:
    """Declare what holds for every command."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    signal.signal(signal.SIGTERM, _stop_cleanly)
    try:
        app()
    except SealiftError as error:
        _tell(error)
        sys.exit(error.exit_code)
    except SystemExit as end:
        # Typer takes Ctrl-C for itself and leaves with this code, without a word.
        if end.code == _INTERRUPTED:
            _tell_interrupted(_notes(end))
        raise
    except Exception:
        traceback.print_exc()
        print(
            "This is a fault in Sealift. Please report the lines above.",
            file=sys.stderr,
        )
        sys.exit(1)


def _stop_cleanly(number: int, frame: object) -> None:
    """Treat a request to end like Ctrl-C."""
    raise KeyboardInterrupt


def _tell(error: SealiftError) -> None:
    """Say what is wrong and what to do next, as JSON to whoever asked for that."""
    if "--json" in sys.argv:
        from sealift_bundler.surveys import HostUnfitError, judged_as_json

        more = dict(error.facts)
        if isinstance(error, HostUnfitError):
            more["hosts"] = judged_as_json(error.judged)
        print(
            json.dumps(
                {"ok": False, "error": _as_json(error), **more},
                indent=1,
                sort_keys=True,
            )
        )
        return
    notes = _notes(error)
    if _wants_json_lines():
        again = {"kept": notes, "continue": _again()} if notes else {}
        say_json("error", **_as_json(error), **again)
        return
    print(f"sealift: {error.message}", file=sys.stderr)
    print(f"  {error.hint}", file=sys.stderr)
    print(f"  [{error.slug}, exit code {error.exit_code}]", file=sys.stderr)
    if notes:
        print(f"  {'; '.join(notes)}. To continue: {_again()}", file=sys.stderr)


def _tell_interrupted(notes: list[str]) -> None:
    """Say what is left after Ctrl-C, and how to go on."""
    if _wants_json_lines():
        say_json("interrupted", kept=notes, **{"continue": _again()})
        return
    kept = "; ".join(notes) or "this run leaves nothing half-done"
    downloads = "" if sys.argv[1:2] == ["copy"] else ", downloads are kept"
    print(
        f"\ninterrupted; {kept}{downloads}. To continue: {_again()}",
        file=sys.stderr,
    )


def _notes(error: BaseException) -> list[str]:
    """Return what was noted on an error or on those behind it."""
    notes: list[str] = []
    at: BaseException | None = error
    while at:
        notes += getattr(at, "__notes__", ())
        at = at.__cause__ or at.__context__
    return notes


def _again() -> str:
    """Return the command line that continues; it must not begin anew."""
    return shlex.join(word for word in sys.argv if word not in _ANEW)


def _wants_json_lines() -> bool:
    words = " ".join(sys.argv).replace("=", " ")
    return "--progress json" in words


def _as_json(error: SealiftError) -> dict[str, object]:
    return {
        "slug": error.slug,
        "exit_code": error.exit_code,
        "message": error.message,
        "hint": error.hint,
    }
