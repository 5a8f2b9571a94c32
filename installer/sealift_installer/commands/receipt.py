"""`receipt`: write down what is installed, to be carried to where bundles are made.

The next bundle can then leave out what this host has. Changes nothing.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from sealift_manifests import records
from sealift_manifests.errors import NotInstalledError
from sealift_manifests.receipt import Receipt, dump_receipt
from sealift_manifests.sizes import counted, human

from sealift_installer.carried import write_carried
from sealift_installer.commands import Result, add_installed_name, add_output
from sealift_installer.host import Host
from sealift_installer.receipt import take_receipt


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)
    add_output(parser)
    parser.add_argument(
        "--no-layers",
        action="store_true",
        help="leave the images out: they are not read back out of the engine",
    )


def run(args: Namespace, host: Host) -> Result:
    """Take stock, and write or print it."""
    receipt = take_receipt(host, args.name, layers=not args.no_layers)
    if not receipt.releases:
        raise NotInstalledError(
            f"there is no release {'of ' + args.name if args.name else 'at all'} "
            f"below {host.layout.state}",
            hint="Give the --state-dir it was installed with. Without a release there "
            "is nothing that a bundle could leave out.",
        )
    data = dump_receipt(receipt)
    if args.output is None:
        return data.decode().rstrip("\n"), {"receipt": records.encode(receipt)}
    path = write_carried(args.output, data)
    text = f"{_summary(receipt)}\nwritten to {path} ({human(len(data))})"
    return text, {"path": path, "size": len(data)}


def _summary(receipt: Receipt) -> str:
    lines = []
    for held in receipt.releases:
        files = sum(len(model.files) for model in held.models)
        layers = sum(len(image.layers) for image in held.images)
        use = ", in use" if held.current else ""
        lines.append(
            f"{held.release}{use}: {counted(files, 'model file')}, "
            f"{counted(layers, 'image layer')}, "
            f"{counted(len(held.chunks), 'chunk')} of its own"
        )
    return "\n".join(lines)
