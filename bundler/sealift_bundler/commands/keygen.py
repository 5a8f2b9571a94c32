"""`sealift keygen`: make a signing key, and say how hosts come to trust it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sealift_bundler.commands.options import ask_passphrase
from sealift_bundler.keygen import generate_key


class Algorithm(StrEnum):
    """Which kind of key: Ed25519, or P-384 for FIPS hosts and old ssh-keygen."""

    ED25519 = "ed25519"
    P384 = "p384"


def run(
    path: Annotated[Path, typer.Argument(help="Where to write the private key.")],
    algorithm: Annotated[Algorithm, typer.Option(help="Kind of key.")] = (
        Algorithm.ED25519
    ),
    comment: Annotated[
        str, typer.Option(help="Who signs; by default the file's name.")
    ] = "",
    no_passphrase: Annotated[
        bool,
        typer.Option("--no-passphrase", help="Do not ask for one; leave it open."),
    ] = False,
) -> None:
    """Make an OpenSSH signing key at PATH, and PATH.pub beside it."""
    passphrase = None
    if not no_passphrase:
        passphrase = ask_passphrase("Passphrase", twice=True)
    made = generate_key(
        path,
        algorithm=algorithm.value,
        comment=comment or path.stem,
        passphrase=passphrase,
    )
    typer.echo(f"private key  {path}   (keep it; a bundle never holds it)")
    typer.echo(f"public key   {path}.pub")
    if made.pem:
        typer.echo(f"for openssl  {made.pem}")
    typer.echo(f"fingerprint  {made.fingerprint}")
    typer.echo(
        "\nHosts trust it once this line is in /etc/sealift/allowed_signers. Send it, "
        "or the\nfingerprint, by another way than the bundles:\n"
    )
    typer.echo(made.allowed_signers_line)
