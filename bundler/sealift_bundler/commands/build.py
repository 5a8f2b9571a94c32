"""`sealift build`: make a signed bundle from a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from sealift_manifests.errors import SigningError

from sealift_bundler.build import BuildRequest, Built, build
from sealift_bundler.commands.options import creation_time, default_cache, parse_size
from sealift_bundler.report import Report, human
from sealift_bundler.signing import Signer, signer_from_agent, signer_from_key_file


def run(  # long: one parameter for each option
    spec: Annotated[Path, typer.Argument(help="The bundle spec, sealift.yaml.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the bundle is put.")
    ] = Path(),
    sign_key: Annotated[
        list[Path] | None,
        typer.Option("--sign-key", help="OpenSSH private key; may be repeated."),
    ] = None,
    sign_agent: Annotated[
        list[str] | None,
        typer.Option(
            "--sign-agent", help="Key in ssh-agent: its .pub file or fingerprint."
        ),
    ] = None,
    tar: Annotated[bool, typer.Option("--tar", help="Write one .tar instead.")] = False,
    part_size: Annotated[
        str, typer.Option(help="The largest pack, such as 700MB.")
    ] = "4GiB-1",
    locked: Annotated[
        bool, typer.Option("--locked", help="Refuse what differs from the lock file.")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Ask upstream again; renew the lock file.")
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Where downloads are kept between builds.")
    ] = None,
    insecure_registry: Annotated[
        list[str] | None,
        typer.Option(help="Registry (host:port) to speak plain HTTP with."),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say only the summary.")
    ] = False,
) -> None:
    """Build, sign and read back the bundle that SPEC asks for."""
    request = BuildRequest(
        spec_path=spec,
        output=output,
        signers=_signers(sign_key or [], sign_agent or []),
        cache=cache or default_cache(),
        created=creation_time(),
        tar=tar,
        part_size=parse_size(part_size),
        locked=locked,
        update=update,
        insecure=frozenset(insecure_registry or ()),
    )
    typer.echo(summary(build(request, Report(quiet=quiet))))


def summary(built: Built) -> str:
    """Return what the user wants to know at the end, and the next command."""
    manifest = built.manifest
    ratio = built.stored_size / built.plain_size if built.plain_size else 1.0
    times = ", ".join(f"{name} {secs:.1f} s" for name, secs in built.seconds.items())
    contents = [
        f"  model {m.name:<12} {len(m.files):>5} files  {human(m.size):>10}"
        for m in manifest.models
    ]
    contents += [
        f"  image {i.name:<12} {len(i.layers):>5} layers {human(i.size):>10}  "
        f"{i.reference}"
        for i in manifest.images
    ]
    return "\n".join(
        [
            f"{manifest.name} {manifest.version}, serial {manifest.serial}",
            *contents,
            f"  stored     {human(built.stored_size)} of {human(built.plain_size)} "
            f"({ratio:.3f}) in {len(built.index.packs)} packs, read back and verified",
            f"  times      {times}",
            f"  root       {built.root}",
            f"  bundle     {built.path}",
            "next: carry it, and send the signer's public key or fingerprint by "
            "another way; then on the host:",
            "  python3 -I -B sealift-installer.pyz install BUNDLE --key FILE.pub",
        ]
    )


def _signers(key_files: list[Path], agent_keys: list[str]) -> list[Signer]:
    if not key_files and not agent_keys:
        raise SigningError(
            "no key to sign with was named",
            hint="Give --sign-key FILE (`sealift keygen FILE` makes one) or "
            "--sign-agent FINGERPRINT. An unsigned bundle cannot be installed.",
        )
    files = [signer_from_key_file(path, _ask) for path in key_files]
    return [*files, *(signer_from_agent(selector) for selector in agent_keys)]


def _ask(what: object) -> bytes:
    answer: str = typer.prompt(f"Passphrase for {what}", hide_input=True)
    return answer.encode()
