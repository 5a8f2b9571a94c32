"""`survey`: read this host, so that it can be judged where bundles are made.

Needs no bundle and changes nothing. As root it can read more.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections import Counter

from sealift_manifests import records
from sealift_manifests.errors import StagingError
from sealift_manifests.preflight.facts import HostFacts
from sealift_manifests.preflight.survey import dump_survey, redact

from sealift_installer import durable
from sealift_installer.commands import Result
from sealift_installer.engine import printable
from sealift_installer.host import Host
from sealift_installer.preflight import survey
from sealift_installer.report import human

HELP = "write down what this host is, to be carried to where bundles are made"


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where to write it; without, it is printed",
    )
    parser.add_argument(
        "--redact",
        action="store_true",
        help="leave out names, UUIDs and addresses",
    )


def run(args: Namespace, host: Host) -> Result:
    """Read the host, and write or print what it is."""
    facts = survey(host)
    facts = redact(facts) if args.redact else facts
    data = dump_survey(facts)
    if args.output is None:
        return data.decode().rstrip("\n"), {"host": records.encode(facts)}
    path = os.path.abspath(args.output)
    try:
        durable.replace_file(path, data, 0o644)
    except OSError as error:
        raise StagingError(
            f"{path} cannot be written: {error.strerror}",
            hint="Name a file in a directory that this user may write to: -o FILE.",
        ) from error
    return f"{_summary(facts)}\nwritten to {path} ({human(len(data))})", {
        "host": records.encode(facts),
        "path": path,
    }


def _summary(facts: HostFacts) -> str:
    """Return the host in one line: its GPUs, driver, toolkit and engine."""
    names = Counter(gpu.name or "an unnamed GPU" for gpu in facts.gpus or ())
    gpus = ", ".join(f"{number} x {name}" for name, number in sorted(names.items()))
    driver = facts.driver.loaded if facts.driver else None
    toolkit = facts.toolkit.version if facts.toolkit else None
    engine = facts.engine
    known = engine is not None and engine.kind is not None
    parts = (
        gpus or ("no GPU found" if facts.gpus == () else "GPUs unknown"),
        f"driver {driver}" if driver else "no driver loaded",
        f"NVIDIA container toolkit {toolkit}" if toolkit else "no container toolkit",
        f"{engine.kind} {engine.version}" if engine and known else "no engine answers",
    )
    return printable("; ".join(parts))
