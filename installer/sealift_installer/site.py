"""What this site decides for a bundle: read, judged, changed, and given to Compose.

Settings stand in a file of their own that survives upgrades; a setting that it does
not give has the default of the release. Secrets are `site_secrets`.
"""

from __future__ import annotations

import difflib
import os
import stat
from dataclasses import dataclass
from typing import Dict, Iterable, List, Mapping, Sequence, Tuple

from sealift_manifests.errors import SealiftError, SettingsError, UsageError
from sealift_manifests.model import Manifest
from sealift_manifests.preflight.needs import Needs
from sealift_manifests.preflight.site import needs_at
from sealift_manifests.settings import (
    SECRETS_VARIABLE,
    STAMP_VARIABLE,
    Secret,
    Setting,
)
from sealift_manifests.site_values import (
    Chosen,
    SettingFault,
    choose,
    unknown_names,
    values_of,
)

from sealift_installer import durable
from sealift_installer.layout import Layout
from sealift_installer.releases import read_release, release_names
from sealift_installer.site_file import SiteFile, read_site_file
from sealift_installer.site_secrets import broken_secrets, missing_secrets, stamp

NOTHING_GIVEN: Mapping[str, str] = {}


@dataclass(frozen=True)
class Site:
    """What a bundle leaves open, and what this site makes of it.

    `faults` keep the stack from a start; `idle` are names in the file that mean nothing
    to this release. `missing` are secrets that are not there, `broken` those that are
    there and of no use.
    """

    bundle: str
    path: str
    chosen: Tuple[Chosen, ...] = ()
    faults: Tuple[SettingFault, ...] = ()
    idle: Tuple[SettingFault, ...] = ()
    missing: Tuple[Secret, ...] = ()
    broken: Tuple[SettingFault, ...] = ()

    @property
    def values(self) -> Dict[str, str]:
        """The values that there are, by name."""
        return values_of(self.chosen)

    @property
    def asked(self) -> Tuple[Secret, ...]:
        """The missing secrets that a person has to bring."""
        return tuple(secret for secret in self.missing if secret.generate is None)

    def lines(self) -> List[str]:
        """Return what has to be done before a start, for people."""
        lines = [str(fault) for fault in (*self.faults, *self.broken)]
        return lines + [f"{one.label}: this secret is not there" for one in self.asked]

    def require(self) -> None:
        """Raise SettingsError with all that keeps the stack from a start."""
        if self.lines():
            raise SettingsError(
                f"{self.bundle} cannot start as this site is set ({self.path}):\n  "
                + "\n  ".join(self.lines()),
                hint="Nothing was started. " + _remedy(self),
                facts={"settings": self.lines()},
            )


def read_file(layout: Layout, bundle: str) -> SiteFile:
    """Read the site file of a bundle; one that is not there is empty.

    Raises SettingsError with every line that cannot be read.
    """
    path = layout.site(bundle)
    data = durable.read_file(path) or b""
    try:
        found, faults = read_site_file(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        faults, found = (f"line {line}: not UTF-8",), read_site_file("")[0]
    if faults:
        raise SettingsError(
            f"{path} cannot be read:\n  " + "\n  ".join(faults),
            hint="Correct these lines; `settings --template` shows how they look.",
        )
    return found


def site_of(
    layout: Layout, manifest: Manifest, given: Mapping[str, str] = NOTHING_GIVEN
) -> Site:
    """Return what this site makes of a bundle; `given` counts before the file."""
    stack, name = manifest.stack, manifest.name
    path = layout.site(name)
    if stack is None or not stack.leaves_open:
        return Site(name, path)
    file = read_file(layout, name)
    chosen, wrong = choose(stack.settings, {**file.values, **given})
    unknown = tuple(unknown_names(stack.settings, file.entries))
    strange = _meant(stack.settings, file, unknown, _other_names(layout, manifest))
    faults = [_placed(fault, file) for fault in (*wrong, *strange)]
    return Site(
        bundle=name,
        path=path,
        chosen=chosen,
        faults=tuple(faults),
        idle=tuple(fault for fault in unknown if fault not in strange),
        missing=missing_secrets(layout, name, stack.secrets),
        broken=broken_secrets(layout, name, stack.secrets),
    )


def _placed(fault: SettingFault, file: SiteFile) -> SettingFault:
    entry = file.entries.get(fault.name)
    if entry is None:
        return fault
    return SettingFault(fault.name, f"line {entry.line + 1}: {fault.message}")


def _meant(
    settings: Iterable[Setting],
    file: SiteFile,
    unknown: Iterable[SettingFault],
    elsewhere: Iterable[str],
) -> Tuple[SettingFault, ...]:
    """Return those unknown names that are most likely a slip: the setting that they are
    like is not given, and no other release knows them."""
    open_names = [each.name for each in settings if each.name not in file.entries]
    others = set(elsewhere)
    return tuple(
        fault
        for fault in unknown
        if fault.name not in others
        and difflib.get_close_matches(
            fault.name.upper(), [name.upper() for name in open_names], 1
        )
    )


def _other_names(layout: Layout, manifest: Manifest) -> List[str]:
    """Return the settings of all installed releases: one may be gone back to."""
    found: List[str] = []
    folder = os.path.join(layout.releases, manifest.name)
    for name in release_names(layout, manifest.name):
        try:
            stack = read_release(os.path.join(folder, name)).manifest.stack
        except SealiftError:
            continue  # The audit tells of it.
        found += [each.name for each in stack.settings] if stack else []
    return found


def given_pairs(words: Sequence[str]) -> Dict[str, str]:
    """Return the settings of a command line, NAME=VALUE each."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(
                f"--set {word!a:.80} is not NAME=VALUE",
                hint="Write it as one word, in quotes if the value has spaces.",
            )
        found[name] = value
    return found


def require_given(manifest: Manifest, given: Mapping[str, str]) -> Dict[str, str]:
    """Return given values as Compose takes them.

    Raises SettingsError with all that no setting is called, or takes.
    """
    settings = manifest.stack.settings if manifest.stack else ()
    mine = [each for each in settings if each.name in given]
    chosen, wrong = choose(mine, given)
    faults = [*unknown_names(settings, given), *wrong]
    if faults:
        raise SettingsError(
            f"{manifest.name} {manifest.version} does not take these settings:\n  "
            + "\n  ".join(map(str, faults)),
            hint="Nothing was changed. `settings` lists what there is to set.",
        )
    return values_of(chosen)


def check_before(layout: Layout, manifest: Manifest, given: Mapping[str, str]) -> None:
    """Raise SettingsError, before an install, for what could not be used after it."""
    require_given(manifest, given)
    site_of(layout, manifest, given)


def change_file(
    layout: Layout, bundle: str, given: Mapping[str, str], gone: Iterable[str] = ()
) -> bool:
    """Write values into the site file, and take others out; say whether it changed."""
    file = before = read_file(layout, bundle)
    for name in gone:
        file = file.without(name)
    for name, value in given.items():
        if file.values.get(name) != value:
            file = file.with_value(name, value)
    if file.text == before.text:
        return False
    # Where it is a link, into a repository maybe, it stays one.
    path = os.path.realpath(layout.site(bundle))
    durable.make_directories(os.path.dirname(path))
    mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0o644
    durable.replace_file(path, file.text.encode("utf-8"), mode)
    return True


def variables(
    layout: Layout, manifest: Manifest, values: Mapping[str, str]
) -> Dict[str, str]:
    """Return what Compose is given of a stack: these values, and where secrets are."""
    return {**values, **_of_secrets(layout, manifest)}


def _of_secrets(layout: Layout, manifest: Manifest) -> Dict[str, str]:
    secrets = manifest.stack.secrets if manifest.stack else ()
    if not secrets:
        return {}
    return {
        SECRETS_VARIABLE: layout.secrets(manifest.name),
        STAMP_VARIABLE: stamp(layout, manifest.name, secrets),
    }


def site_needs(
    layout: Layout, manifest: Manifest, given: Mapping[str, str] = NOTHING_GIVEN
) -> Needs:
    """Return what a bundle asks of this host as this site is set."""
    return needs_at(manifest, site_of(layout, manifest, given).values)


def _remedy(site: Site) -> str:
    told = []
    if site.faults:
        told.append(
            f"Set them with `settings {site.bundle} --set NAME=VALUE`, or --ask."
        )
    if site.asked:
        label = site.asked[0].label
        told.append(f"Bring secrets with `settings {site.bundle} --secret {label}`.")
    if site.broken:
        label = site.broken[0].name
        told.append(
            "Mount what a link leads to, or put a secret in place of a broken one with "
            f"`settings {site.bundle} --secret {label}` (or --generate {label}, for "
            "one that is made)."
        )
    return " ".join(told)
