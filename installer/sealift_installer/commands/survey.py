"""`survey`: read this host, so that it can be judged where bundles are made.

Needs no bundle and changes nothing. As root it can read more.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from sealift_manifests import records
from sealift_manifests.preflight.survey import dump_survey, redact
from sealift_manifests.sizes import human

from sealift_installer.carried import write_carried
from sealift_installer.commands import Result, add_output
from sealift_installer.host import Host
from sealift_installer.preflight import summary, survey


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_output(parser)
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
    path = write_carried(args.output, data)
    return f"{summary(facts)}\nwritten to {path} ({human(len(data))})", {
        "host": records.encode(facts),
        "path": path,
    }
