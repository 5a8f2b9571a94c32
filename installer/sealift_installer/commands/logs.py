"""`logs`: what the containers of the stack wrote, also those that died."""

from __future__ import annotations

import heapq
import queue
import re
import threading
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

from sealift_manifests.errors import EngineError, UsageError
from sealift_manifests.names import project_name

from sealift_installer.commands import Result, add_installed_name
from sealift_installer.composed import containers_of, name_of, service_of
from sealift_installer.container_log import LogLine, log_lines
from sealift_installer.engine import printable
from sealift_installer.host import Host
from sealift_installer.releases import choose
from sealift_installer.stack import project_of

_TAIL = "100"
_SINCE = re.compile(r"([0-9]+)([smhd]?)\Z")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_END = None


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)
    parser.add_argument("service", nargs="*", help="only these services")
    parser.add_argument(
        "--follow", "-f", action="store_true", help="go on as lines are written"
    )
    parser.add_argument(
        "--since",
        type=_seconds,
        metavar="TIME",
        help="only lines of the last 10m, 2h, 1d, or so many seconds",
    )
    parser.add_argument(
        "--tail",
        type=_count,
        default=_TAIL,
        metavar="N",
        help="so many last lines of each container, or all (default %(default)s)",
    )
    parser.add_argument(
        "--timestamps", "-t", action="store_true", help="put the time before each line"
    )


def run(args: Namespace, host: Host) -> Result:
    """Print the lines of all containers in the order of their time."""
    if args.follow and args.json:
        raise UsageError(
            "--follow has no end, and so no result in JSON",
            hint="Leave one of the two out.",
        )
    release = choose(host.layout, args.name)
    project_of(release)
    shown = _containers(host, project_name(release.manifest.name), args.service)
    since = host.now().timestamp() - args.since if args.since is not None else None
    options = {"tail": args.tail, "since": since, "follow": args.follow}
    lost: List[Dict[str, str]] = []
    streams = [
        _readable(host, one, log_lines(host.engine, one, **options), lost)
        for one in shown
    ]
    lines = _followed(streams) if args.follow else _merged(streams)
    if args.json:
        found = [vars(line) for line in lines]
        name = release.manifest.name
        return "", {"bundle": name, "lines": found, "unreadable": lost}
    width = max((len(service_of(one)) for one in shown), default=0)
    try:
        for line in lines:
            host.report.line(_told(line, width, times=args.timestamps))
    except KeyboardInterrupt:
        pass  # How one leaves --follow.
    return "", {}


def _containers(
    host: Host, project: str, services: Sequence[str]
) -> List[Dict[str, Any]]:
    found = sorted(containers_of(host.engine, project), key=service_of)
    known = {service_of(one) for one in found}
    unknown = [name for name in services if name not in known]
    if unknown:
        raise UsageError(
            f"there is no container of {', '.join(unknown)}",
            hint=f"There are those of: {', '.join(sorted(known)) or 'nothing'}.",
        )
    return [one for one in found if not services or service_of(one) in services]


def _readable(
    host: Host,
    shown: Mapping[str, Any],
    lines: Iterator[LogLine],
    lost: List[Dict[str, str]],
) -> Iterator[LogLine]:
    """Yield the lines; where the engine gives them no more, say so and note it.

    A log driver that keeps nothing must not hide what the other containers wrote.
    """
    try:
        yield from lines
    except EngineError as error:
        service, container = service_of(shown), name_of(shown)
        lost.append(
            {"service": service, "container": container, "error": error.message}
        )
        host.report.step(
            f"the log of {service} ({container}) cannot be read: {error.message}"
        )


def _merged(streams: Sequence[Iterator[LogLine]]) -> Iterator[LogLine]:
    return heapq.merge(*streams, key=lambda line: line.time)


def _followed(streams: Sequence[Iterator[LogLine]]) -> Iterator[LogLine]:
    """Yield lines as they come, until every container has ended."""
    lines: queue.Queue[Optional[LogLine]] = queue.Queue(1000)

    def pass_on(stream: Iterator[LogLine]) -> None:
        try:
            for line in stream:
                lines.put(line)
        finally:
            lines.put(_END)

    for stream in streams:
        threading.Thread(target=pass_on, args=(stream,), daemon=True).start()
    left = len(streams)
    while left:
        line = lines.get()
        if line is _END:
            left -= 1
        else:
            yield line


def _told(line: LogLine, width: int, *, times: bool) -> str:
    time = f"{line.time} " if times else ""
    text = printable(line.text, len(line.text))
    return f"{line.service:<{width}} | {time}{text}"


def _seconds(text: str) -> int:
    match = _SINCE.match(text)
    if not match:
        raise ArgumentTypeError("give a time such as 30s, 10m, 2h or 1d")
    return int(match[1]) * _UNITS[match[2]]


def _count(text: str) -> str:
    if text != "all" and not text.isdigit():
        raise ArgumentTypeError("give a number, or all")
    return text
