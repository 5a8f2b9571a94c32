"""Write tables from raw numbers that were kept: nothing is typed by hand."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import plan, report
from .values import Result, from_json

FORMS = ("text", "markdown", "short", "plan")


def write(form: str, files: Sequence[Path], into: Path | None) -> int:
    """Print the tables of raw files, or put them into a document."""
    if not files:
        print("name the raw JSON files", file=sys.stderr)
        return 2
    try:
        text = "\n".join(_lines(form, files))
    except plan.NotMeasuredError as error:
        print(error, file=sys.stderr)
        return 2
    if into is None:
        print(text)
        return 0
    document = into.read_text(encoding="utf-8")
    into.write_text(placed(document, form, text), encoding="utf-8")
    return 0


def placed(document: str, form: str, text: str) -> str:
    """Return a document with other text between the marks of this form."""
    begin, end = f"<!-- bench {form} -->", f"<!-- end of bench {form} -->"
    found = re.search(re.escape(begin) + r".*?" + re.escape(end), document, re.DOTALL)
    if not found:
        raise SystemExit(f"the document has no {begin} ... {end}")
    return document.replace(found[0], f"{begin}\n{text}\n{end}")


def _lines(form: str, files: Sequence[Path]) -> Iterator[str]:
    loaded = [from_json(json.loads(file.read_text("utf-8"))) for file in files]
    results: list[Result] = [each for _, found in loaded for each in found]
    if form == "short":
        yield from report.as_short(results)
    elif form == "plan":
        yield from plan.sheet(loaded[0][0], results)
    else:
        write_all = report.as_text if form == "text" else report.as_markdown
        for number, (about, found) in enumerate(loaded):
            yield from [""] if number else []
            yield from write_all(about, found)
