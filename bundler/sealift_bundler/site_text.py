"""What a stack leaves to each host, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from sealift_manifests.settings import Secret, Setting
from sealift_manifests.stack_entries import StackEntry


def site_lines(stack: StackEntry) -> Iterator[str]:
    """Yield a line for each setting and secret."""
    yield from map(setting_line, stack.settings)
    yield from map(secret_line, stack.secrets)


def setting_line(setting: Setting) -> str:
    """Return a setting: its name, default, values, and what it is for."""
    default = "must be set" if setting.default is None else setting.default
    text = f"{setting.name} = {default} ({setting.range})"
    return f"{text}: {setting.help}" if setting.help else text


def secret_line(secret: Secret) -> str:
    """Return a secret: its label, where its value is from, and what it is for."""
    how = (
        f"made on the host, {secret.generate} characters"
        if secret.generate
        else "must be brought"
    )
    text = f"secret {secret.label} ({how})"
    return f"{text}: {secret.help}" if secret.help else text
