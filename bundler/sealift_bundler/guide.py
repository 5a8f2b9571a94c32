"""Write INSTALL.md: what the operator and the auditor read, with real names in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sealift_manifests.index import Index
from sealift_manifests.model import Manifest
from sealift_manifests.parity import Parity
from sealift_manifests.sizes import counted
from sealift_manifests.sshsig import P384
from sealift_manifests.stack_entries import StackEntry
from sealift_manifests.trust import NAMESPACE

from sealift_bundler.signing import Signer
from sealift_bundler.site_text import site_lines


def install_guide(
    manifest: Manifest,
    index: Index,
    signers: Sequence[tuple[str, Signer]],
) -> bytes:
    """Return INSTALL.md. `signers` are (name in the signature file, signer) pairs."""
    verify = _verify(signers)
    if index.parity:
        verify = verify.replace(_BUT_PACKS, f"{_BUT_PACKS} --exclude='*.par'")
    parts = [_HEAD, _contents(manifest)]
    if index.bases:
        parts.append(
            _DELTA.replace("{bases}", "\n".join(f"- {b}" for b in index.bases))
        )
    parts += [_trust(signers), verify, _INSTALL]
    if manifest.stack:
        parts += [*_site(manifest.stack), _START]
    parts += [_audit(manifest, signers), _TROUBLE]
    if index.parity:
        parts.append(_parity(index.parity))
    text = "\n".join(part.strip("\n") + "\n" for part in parts)
    return (
        text.replace("{name}", manifest.name)
        .replace("{version}", manifest.version)
        .replace("{serial}", str(manifest.serial))
        .replace("{created}", manifest.created)
        .encode("utf-8")
    )


def _contents(manifest: Manifest) -> str:
    rows = [
        f"- model `{model.name}`: {counted(len(model.files), 'file')}, "
        f"{model.size:,} bytes, layout {model.layout}"
        for model in manifest.models
    ]
    rows += [
        f"- image `{image.name}`: `{image.reference}`, {image.size:,} bytes"
        for image in manifest.images
    ]
    rows += [
        f"- volume of data `{volume.name}`: {counted(len(volume.files), 'file')}, "
        f"{volume.size:,} bytes; the host fills it once and then keeps its own"
        for volume in manifest.volumes
    ]
    if manifest.stack:
        services = ", ".join(service.name for service in manifest.stack.services)
        rows.append(f"- stack: services {services}")
    return "\n".join(rows) + "\n"


def _trust(signers: Sequence[tuple[str, Signer]]) -> str:
    lines = [
        f'    {name} namespaces="{NAMESPACE}" {signer.public_key.algorithm} AAAA...'
        for name, signer in signers
    ]
    return _TRUST.replace("{lines}", "\n".join(lines))


def _verify(signers: Sequence[tuple[str, Signer]]) -> str:
    lines = []
    for name, signer in signers:
        lines.append(_ssh_verify(name))
        if signer.public_key.algorithm == P384:
            lines.append(
                "    # or, where ssh-keygen is too old (KEY.pem came with KEY.pub):\n"
                "    openssl dgst -sha384 -verify KEY.pem \\\n"
                f"        -signature SHA256SUMS.{name}.p384.sig SHA256SUMS"
            )
    lines.append("    sha256sum -c --strict --quiet SHA256SUMS")
    return _VERIFY.replace("{commands}", "\n".join(lines))


def _ssh_verify(name: str) -> str:
    return (
        f"    ssh-keygen -Y verify -f /etc/sealift/allowed_signers -I {name} \\\n"
        f"        -n {NAMESPACE} -s SHA256SUMS.{name}.sig < SHA256SUMS"
    )


def _site(stack: StackEntry) -> Iterator[str]:
    """Yield the chapter about what this host decides, if there is anything."""
    if not stack.leaves_open:
        return
    must = [f"--set {s.name}=..." for s in stack.settings if s.default is None]
    must += [f"--secret {s.label}" for s in stack.secrets if s.generate is None]
    lines = "\n".join(f"- {line}" for line in site_lines(stack))
    told = _MUST.replace("{options}", " ".join(must)) if must else ""
    yield _SITE.replace("{must}", told).replace("{lines}", lines)


def _audit(manifest: Manifest, signers: Sequence[tuple[str, Signer]]) -> str:
    lines = ["    cd /var/lib/sealift/current/{name}"]
    lines += [_ssh_verify(name) for name, _ in signers]
    lines.append("    sha256sum -c --strict --quiet --ignore-missing SHA256SUMS")
    for model in manifest.models:
        lines += [
            f"    cd /var/lib/sealift/volumes/{model.name}/{model.tree.hex}",
            "    sha256sum -c --strict --quiet \\\n"
            f"        /var/lib/sealift/current/{{name}}/{model.listing_name}",
        ]
    return _AUDIT.replace("{commands}", "\n".join(lines))


def _parity(parity: Parity) -> str:
    files = f"`{parity.files[0].name}` to `{parity.files[-1].name}`"
    if len(parity.files) == 1:
        files = f"`{parity.files[0].name}`"
    return _PARITY.replace("{files}", files)


_HEAD = """
# {name} {version}

A Sealift bundle, serial {serial}, built {created}. It holds:
"""

_DELTA = """
It is a **delta**: what the host has already is left out. It builds on

{bases}

and `install` says so, before it changes anything, on a host that lacks some of that.
"""

_TRUST = """
## 1. Know whom to trust

Nothing on this medium can tell you whether this medium is good. You need the
builder's public key, or its fingerprint, **by another way**: from the slip that
came separately, by telephone, or from your own configuration management. Put it,
once per host, into `/etc/sealift/allowed_signers`, one line for each key, which
`sealift keygen` printed. The first word is the name that the commands below use:

{lines}
"""

_VERIFY = """
## 2. Verify with the host's own tools

In the directory that holds this file:

{commands}

`ssh-keygen` settles who made the list, `sha256sum` that every file is the one
listed. Do not use `ssh-keygen -Y check-novalidate`: it says "Good" for any key.

A bundle in one `.tar` need not be unpacked. Take out all but the packs, check these
as above with `--ignore-missing` after `sha256sum -c`, and name the `.tar` instead of
`.` in step 3, which checks every byte of it:

    tar -xf BUNDLE.tar --strip-components=1 --exclude='*.pack'

On old systems `openssl dgst -sha256 -r FILE` is several times faster than
`sha256sum` and prints the same lines.
"""

_INSTALL = """
## 3. Install

As root, with Python 3.8 or later; nothing else is needed for weights, Docker or
Podman for images, Docker Compose for the stack:

    python3 -I -B sealift-installer.pyz verify .
    python3 -I -B sealift-installer.pyz install .

Without `/etc/sealift/allowed_signers` add one of `--key FILE.pub`,
`--fingerprint SHA256:...` or `--allowed-signers FILE` to both commands, the first
time. The medium may be read-only. Several directories may be given when packs are
spread over several media. Running it again finishes what was cut off, and does
nothing when all is there.
"""

_SITE = """
## Settings of this host

The stack leaves this to the host. What is not set has the default:

{lines}
{must}
`settings {name}` shows them with their values, `settings {name} --set NAME=VALUE`
changes one; they stand in `/etc/sealift/sites/{name}.yaml` and survive upgrades.
Secrets stay on the host, in `/etc/sealift/secrets/{name}`.
"""

_MUST = """
Before the first start:

    python3 -I -B /var/lib/sealift/current/{name}/sealift-installer.pyz \\
        settings {name} {options}
"""

_START = """
## 4. Start

    python3 -I -B /var/lib/sealift/current/{name}/sealift-installer.pyz start {name}

It audits first, starts the stack without pulling anything, waits until every service
is healthy, and asks what the bundle's smoke tests ask. `status`, `logs`, `diagnose`,
`stop` and `uninstall` work the same way; `unit --enable` starts it at every boot.
"""

_AUDIT = """
## Audit, now and later

    python3 -I -B /var/lib/sealift/current/{name}/sealift-installer.pyz audit {name}

hashes everything installed from disk and compares it with the signed manifest.
Without our code:

{commands}
"""

_TROUBLE = """
## When something is wrong

Every message names what is wrong, where, and what to do next; the exit code says
what kind it is: 10-18 the bundle is not trusted or damaged, 30-31 the host lacks
something, 40-45 a change did not work, 50 the audit found drift. A damaged pack is
named with its byte range: copy that one file again, or name another medium that has it
as well. If no medium has it whole, `repair-request` writes a small file to send back;
the patch that comes is named beside the media. Nothing half-done is left in the way:
run the same command again.
"""

_PARITY = """
## Parity

{files} are parity: a pack that is lost or damaged is rebuilt from them and the other
packs, chunk by chunk, and each chunk is compared with what was signed before it is
used. `sha256sum` knows nothing of that and names the pack all the same; `verify` says
whether it can be rebuilt, and `install` does it. So carry on, and report the medium.
"""

_BUT_PACKS = "--exclude='*.pack'"
