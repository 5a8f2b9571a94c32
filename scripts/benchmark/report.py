"""What was measured, for people: as text for a terminal, as Markdown for documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from .values import Judged, Result, Run

_JUDGED = ("what", "median", "from - to", "aim", "verdict", "CPU time")
_TOOK = ("command", "s", "from - to", "CPU s", "MiB peak")
_MOVED = ("read", "written", "from disk", "left", "extra disk")
_TOOK_NOTE = (
    "seconds are medians; MiB peak: the most that its processes had together, sampled"
)
_MOVED_NOTE = (
    "the last five: bytes per byte of the input; pipes count in read and written, "
    "extra disk is what lay there at most beyond what was left"
)


@dataclass(frozen=True)
class Table:
    """Cells in rows below a head; `notes` are lines that explain them."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: Sequence[str] = ()


def as_text(about: Mapping[str, str], results: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of a whole report for a terminal."""
    yield from (f"{name}: {value}" for name, value in about.items())
    yield from _bodies(results, "===", text_of)


def as_markdown(about: Mapping[str, str], results: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of a whole report for a document."""
    yield from (f"- {name}: {value}" for name, value in about.items())
    yield from _bodies(results, "###", markdown_of)


def _bodies(
    results: Sequence[Result], mark: str, lines_of: Callable[[Table], Iterable[str]]
) -> Iterator[str]:
    for result in results:
        yield ""
        yield f"{mark} {result.suite}: {result.title}"
        for table in tables(result):
            yield ""
            yield from lines_of(table)


def as_short(results: Iterable[Result]) -> Iterator[str]:
    """Yield a table of nothing but what has an aim, for a README."""
    rows = []
    for result in results:
        aimed = [each for each in result.judged if each.aim is not None]
        for each in aimed:
            what, middle, _, aim, verdict, _ = _judged_row(each)
            rows.append((f"{what} ({result.title})", middle, aim, verdict))
    yield from markdown_of(Table(("what", "median", "aim", "verdict"), rows))


def tables(result: Result) -> Iterator[Table]:
    """Yield what was judged, and what each command took."""
    yield Table(_JUDGED, [_judged_row(each) for each in result.judged], result.notes)
    if result.runs:
        rows = [_took_row(n, runs, result.plain) for n, runs in result.runs.items()]
        if result.plain:
            yield Table((*_TOOK, *_MOVED), rows, [_TOOK_NOTE, _MOVED_NOTE])
        else:
            yield Table(_TOOK, rows, [_TOOK_NOTE])


def text_of(table: Table) -> Iterator[str]:
    """Yield the lines of a table with its columns aligned."""
    rows = [table.head, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first = row[0].ljust(widths[0])
        rest = (c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))
        yield "  ".join((first, *rest)).rstrip()
    yield from (f"({note})" for note in table.notes)


def markdown_of(table: Table) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield _markdown_row(table.head)
    yield _markdown_row(["---"] + ["--:"] * (len(table.head) - 1))
    yield from map(_markdown_row, table.rows)
    if table.notes:
        yield ""
        yield from (f"- {note}" for note in table.notes)


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _judged_row(judged: Judged) -> tuple[str, ...]:
    values, unit = judged.values, "" if judged.unit == "x" else f" {judged.unit}"
    spread = ""
    if len(values) > 1:
        spread = f"{number(min(values))} - {number(max(values))}"
    aim = ""
    if judged.aim is not None:
        aim = f"{'>=' if judged.at_least else '<='} {judged.aim:g}{unit}"
    cpu = number(median(judged.cpu)) if judged.cpu else ""
    middle = number(judged.middle) + unit
    return judged.title, middle, spread, aim, judged.verdict, cpu


def _took_row(name: str, runs: Sequence[Run], plain: int) -> tuple[str, ...]:
    walls = [run.wall for run in runs]
    spread = f"{min(walls):.2f} - {max(walls):.2f}" if len(walls) > 1 else ""
    took = (
        *(name, f"{median(walls):.2f}", spread),
        f"{median(run.cpu for run in runs):.2f}",
        f"{median(run.memory for run in runs) / 2**20:.0f}",
    )
    return took + _moved(runs, plain) if plain else took


def _moved(runs: Sequence[Run], plain: int) -> tuple[str, ...]:
    def part(what: str) -> str:
        return f"{median(getattr(run, what) for run in runs) / plain:.2f}"

    extra = median(max(0, run.most_disk - run.disk) for run in runs) / plain
    return (*map(part, ("read", "written", "from_disk", "disk")), f"{extra:.2f}")


def number(value: float) -> str:
    """Return a number with about four digits."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
