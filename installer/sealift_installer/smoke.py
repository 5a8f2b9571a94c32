"""Run the smoke tests of a stack: ask its services, judge what they answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

from sealift_manifests.errors import SettingsError, StagingError, StartError
from sealift_manifests.model import Manifest
from sealift_manifests.names import project_name
from sealift_manifests.smoke import SECRETS_FEATURE, SmokeTest

from sealift_installer.asking import AskError, Reply, ask
from sealift_installer.composed import containers_of, service_of
from sealift_installer.engine import Engine
from sealift_installer.host import Host
from sealift_installer.reach import Address, address_of
from sealift_installer.releases import Release
from sealift_installer.site_secrets import sendable
from sealift_installer.smoke_answer import faults_of, shown

LOGGED = "smoke"
"""The ledger's word for smoke tests that were run."""

_PAUSE = 0.5


@dataclass(frozen=True)
class SmokeResult:
    """How a smoke test ended: `fault` is None when the answer was the expected one.

    The seconds are those to the first byte and to the last one; None where no whole
    answer came.
    """

    test: SmokeTest
    first: Optional[float] = None
    seconds: Optional[float] = None
    fault: Optional[str] = None

    def __str__(self) -> str:
        if self.fault is not None:
            return f"smoke {self.test.name}: FAILED\n{self.fault}"
        return (
            f"smoke {self.test.name}: good, first byte after {self.first or 0:.2f} s, "
            f"all of it after {self.seconds or 0:.2f} s"
        )

    def facts(self) -> Dict[str, Any]:
        """Return the same for --json."""
        return {
            "name": self.test.name,
            "service": self.test.service,
            "good": self.fault is None,
            "first_byte_s": None if self.first is None else round(self.first, 3),
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "fault": self.fault,
        }


class SmokeError(StartError):
    """A service does not answer as its smoke test expects."""

    def __init__(self, message: str, results: Sequence[SmokeResult]) -> None:
        super().__init__(
            message,
            hint="The services run and are healthy, and what they say is wrong. See "
            "`logs`; `smoke` asks again, and `start --no-smoke` does not ask.",
            facts={"smoke": [each.facts() for each in results]},
        )


def run_smoke(host: Host, release: Release) -> Tuple[SmokeResult, ...]:
    """Run all smoke tests of a release's stack, in their order; log how it went.

    Raises SmokeError, with all that is wrong, when a test fails.
    """
    stack, manifest = release.manifest.stack, release.manifest
    tests = stack.smoke if stack else ()
    results = []
    for test in tests:
        host.report.step(f"asking {test.name}: {test.request}, up to {test.within} s")
        results.append(_run(host, release.manifest, test))
    failed = [each for each in results if each.fault is not None]
    if results:
        facts = [each.facts() for each in results]
        host.log_if_possible(LOGGED, manifest, clean=not failed, tests=_brief(facts))
    if failed:
        raise SmokeError(
            f"{len(failed)} of {len(results)} smoke tests of {release.title} failed\n"
            + "\n".join(map(str, failed)),
            results,
        )
    return tuple(results)


def _run(host: Host, manifest: Manifest, test: SmokeTest) -> SmokeResult:
    """Run a test with the secrets of this host that it sends."""
    labels = test.secrets if SECRETS_FEATURE in manifest.features else ()
    try:
        secrets = {
            label: sendable(host.layout, manifest.name, label) for label in labels
        }
    except (SettingsError, StagingError) as error:
        return SmokeResult(test, fault=_told(test, None, error.message, error.hint))
    return run_test(host.engine, project_name(manifest.name), test, secrets)


def _brief(facts: Sequence[Dict[str, Any]]) -> Sequence[Dict[str, Any]]:
    """Return what the ledger keeps: it knows whole numbers only."""
    return [{"good": each["good"], "name": each["name"]} for each in facts]


def run_test(
    engine: Engine,
    project: str,
    test: SmokeTest,
    secrets: Mapping[str, str],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> SmokeResult:
    """Ask once; again, while nobody listens yet and there is time.

    `secrets` are those that its headers may ask for. None is shown, whatever comes.
    """
    end, rootless = clock() + test.within, engine.facts().rootless
    while True:
        address = _find(engine, project, test, rootless=rootless)
        if address is None:
            where = "no container of it runs where this host reaches it"
            if rootless:
                where += "; the engine is rootless, so the port must be published"
            return SmokeResult(test, fault=_told(test, None, where))
        try:
            reply = _ask(address, test, max(end - clock(), 0.1), secrets)
        except AskError as error:
            if error.refused and clock() + _PAUSE < end:
                sleep(_PAUSE)
                continue
            return SmokeResult(test, fault=_told(test, address, str(error)))
        if not faults_of(test.expect, reply.status, reply.body):
            return SmokeResult(test, reply.first, reply.seconds)
        body = _without(secrets, reply.body)
        faults = faults_of(test.expect, reply.status, body)
        came = f"{reply.status} came: {shown(body)}"
        told = _told(test, address, *faults, came)
        return SmokeResult(test, reply.first, reply.seconds, told)


def _ask(
    address: Address, test: SmokeTest, within: float, secrets: Mapping[str, str]
) -> Reply:
    return ask(
        address,
        test.method,
        test.path,
        within,
        headers={each.name: each.filled(secrets) for each in test.headers},
        body=test.body.encode("utf-8") if test.method == "POST" else None,
    )


def _without(secrets: Mapping[str, str], body: bytes) -> bytes:
    """Return an answer without secrets: servers like to say which key was wrong."""
    for label, value in secrets.items():
        body = body.replace(value.encode(), f"[the secret {label}]".encode())
    return body


def _told(test: SmokeTest, address: Optional[Address], *lines: str) -> str:
    where = f" at {address}" if address else ""
    return "\n".join([f"  {test.request}{where}", *(f"  {line}" for line in lines)])


def _find(
    engine: Engine, project: str, test: SmokeTest, *, rootless: bool
) -> Optional[Address]:
    for shown_ in containers_of(engine, project):
        state = shown_.get("State") or {}
        if service_of(shown_) == test.service and state.get("Running"):
            address = address_of(shown_, test.port, rootless=rootless)
            if address:
                return address
    return None
