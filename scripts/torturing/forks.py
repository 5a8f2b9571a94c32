"""Starts `sealift` again and again without the second that its imports take each time.

A program of its own, run by `killing.Forks`: it imports the command line once and forks
for each line of JSON on its standard input. Each run is a process that ends, or is
killed, as any other. Answers with the process id at the begin, the status at the end.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

from sealift_bundler.cli import main


def serve() -> None:
    """Fork for each order, until there are none."""
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            _run(order)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(order: dict[str, Any]) -> None:
    """Be the command, and do not return."""
    code = 1
    try:
        os.setsid()
        for number, path in enumerate(("/dev/null", order["stdout"], order["stderr"])):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY
            fd = os.open(path, flags, 0o644)
            os.dup2(fd, number)
            os.close(fd)
        os.environ.update(order["env"])
        sys.argv = order["argv"]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
