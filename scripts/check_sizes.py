"""Find the modules and functions that have grown too long to be read at once.

Lines are counted as they stand, docstrings and blank lines too. A function that is
better left whole says why on its first line: `def f():  # long: REASON`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES = 400
FUNCTION_LINES = 40
EXCUSE = re.compile(r"#\s*long:\s*\S")


def too_long(source: str) -> Iterator[str]:
    """Yield a line of text, beginning with a line number, for each excess."""
    lines = source.splitlines()
    if len(lines) > MODULE_LINES:
        yield f"1: the module has {len(lines)} lines (at most {MODULE_LINES})"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > FUNCTION_LINES and not EXCUSE.search(lines[node.lineno - 1]):
                yield (
                    f"{node.lineno}: {node.name} has {size} lines "
                    f"(at most {FUNCTION_LINES})"
                )


def main(places: list[str]) -> int:
    """Print what is too long below the folders named, and return the exit code."""
    found = [
        f"{path}:{excess}"
        for place in places
        for path in sorted(Path(place).rglob("*.py"))
        for excess in too_long(path.read_text(encoding="utf-8"))
    ]
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
