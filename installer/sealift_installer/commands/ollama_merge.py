"""`ollama-merge`: put the Ollama models of a release into a store outside Sealift."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import Sequence

from sealift_manifests.errors import NotInstalledError, StagingError
from sealift_manifests.model import Manifest
from sealift_manifests.sizes import counted, human

from sealift_installer.commands import (
    Result,
    add_installed_name,
    add_trust_options,
    named_keys,
)
from sealift_installer.host import Host
from sealift_installer.host_trust import trust_to_verify
from sealift_installer.ollama_merge import (
    MergeFile,
    carry_out,
    ollama_files,
    plan_merge,
)
from sealift_installer.releases import choose, open_release


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)
    add_trust_options(parser)
    parser.add_argument(
        "--into",
        required=True,
        metavar="DIR",
        help="the store (OLLAMA_MODELS), such as /usr/share/ollama/.ollama/models",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="put the bundle's models in the place of others of the same names",
    )


def run(args: Namespace, host: Host) -> Result:
    """Bring what the store lacks."""
    store = os.path.abspath(args.into)
    if not os.path.isdir(store):
        raise StagingError(
            f"{store} is not a directory",
            hint="Name the directory that OLLAMA_MODELS says; Ollama makes it at its "
            "first start.",
        )
    release = choose(host.layout, args.name)
    trust = trust_to_verify(host.layout, named_keys(args))
    media, bundle = open_release(release.path, trust, host.now())
    with media, host.locked():
        manifest = bundle.manifest
        files = ollama_files(host.layout, manifest, store)
        if not files:
            raise NotInstalledError(
                f"{manifest.name} {manifest.version} has no Ollama models",
                hint="Give them in the spec as `ollama: NAME:TAG`.",
            )
        total = sum(each.file.size for each in files)
        with host.report.progress("looking at the store", total) as progress:
            wanted = plan_merge(files, replace=args.replace, progress=progress)
        size = sum(each.file.size for each in wanted)
        with host.report.progress("copying", size) as progress:
            carry_out(store, wanted, progress)
        if wanted:
            host.log("ollama-merge", manifest, store=store, files=len(wanted))
    return _told(manifest, store, files, wanted)


def _told(
    manifest: Manifest,
    store: str,
    files: Sequence[MergeFile],
    wanted: Sequence[MergeFile],
) -> Result:
    size = sum(each.file.size for each in wanted)
    names = [each.file.path.partition("/")[2] for each in files if each.is_manifest]
    text = (
        f"{store} has {', '.join(names)}: {counted(len(wanted), 'file')} copied "
        f"({human(size)}), {len(files) - len(wanted)} were there"
    )
    return text, {
        "bundle": manifest.name,
        "version": manifest.version,
        "store": store,
        "models": names,
        "copied": [each.file.path for each in wanted],
        "size": size,
    }
