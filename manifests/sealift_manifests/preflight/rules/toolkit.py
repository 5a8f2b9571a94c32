"""Rules about the NVIDIA container toolkit: there, known to the engine, not holed."""

from __future__ import annotations

from typing import Iterator, List

from sealift_manifests.preflight.case import Case
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.facts import Engine, Toolkit
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.needs import ServiceNeeds
from sealift_manifests.preflight.paths import gpu_path
from sealift_manifests.preflight.tables import Cve
from sealift_manifests.preflight.versions import at_least, numbers

CGROUP2_CLI = "1.8"
_HOOK_FORMS = ("reservations", "gpus")
_HOOK_MODES = ("", "auto", "legacy")


def toolkit_is_there(case: Case) -> Iterator[Finding]:
    """Expect the toolkit where Docker serves GPUs through it."""
    toolkit = case.facts.toolkit
    wanting = [
        s for s in _docker_services(case) if gpu_path(case.facts, s.gpu) != "cdi"
    ]
    words = {"version": case.tables.recommended_toolkit}
    if not wanting:
        return
    if toolkit is None or (toolkit.installed is None and not toolkit.version):
        yield found("toolkit-unknown", "host", "not known", "the container toolkit")
        return
    for service in wanting:
        about = f"service {service.name}"
        if toolkit.installed is False or _has_no_hook(toolkit, service):
            measured = "no container toolkit"
            needed = "nvidia-container-toolkit"
            yield found("toolkit-missing", about, measured, needed, **words)


def _has_no_hook(toolkit: Toolkit, service: ServiceNeeds) -> bool:
    form = service.gpu.form if service.gpu else ""
    hooks = (toolkit.runtime_hook, toolkit.cdi_hook)
    return form in _HOOK_FORMS and hooks == (False, False)


def runtime_is_known_to_engine(case: Case) -> Iterator[Finding]:
    """Expect the runtime nvidia in the running engine where a service names it."""
    engine, toolkit = case.facts.engine, case.facts.toolkit
    for service in _docker_services(case):
        if service.gpu is None or service.gpu.form != "runtime" or not engine:
            continue
        if toolkit and toolkit.installed is False:
            continue
        about, needed = f"service {service.name}", "the runtime nvidia"
        if engine.runtimes is None:
            yield found("toolkit-unknown", about, "runtimes not known", needed)
        elif "nvidia" not in engine.runtimes:
            configured = toolkit.runtime_configured if toolkit else None
            slug = "toolkit-not-restarted" if configured else "toolkit-not-configured"
            measured = f"runtimes {', '.join(engine.runtimes) or 'none'}"
            yield found(slug, about, measured, needed)


def engine_was_restarted(case: Case) -> Iterator[Finding]:
    """Expect the engine to have been started after the toolkit last changed."""
    toolkit = case.facts.toolkit
    if toolkit and toolkit.changed_after_engine and case.wants_gpu:
        started = case.facts.engine.started if case.facts.engine else None
        measured = f"the engine was started {started or 'earlier'}"
        yield found("toolkit-changed", "host", measured, "a restart since the change")


def mode_serves_form(case: Case) -> Iterator[Finding]:
    """Expect a mode of config.toml with which the hook can be called directly."""
    toolkit = case.facts.toolkit
    if toolkit is None or toolkit.mode is None or toolkit.mode in _HOOK_MODES:
        return
    for service in _docker_services(case):
        path = gpu_path(case.facts, service.gpu)
        if service.gpu and service.gpu.form in _HOOK_FORMS and path == "legacy":
            measured = f"mode {toolkit.mode!r}"
            about = f"service {service.name}"
            yield found("toolkit-mode", about, measured, "mode auto or legacy")


def cli_knows_cgroup2(case: Case) -> Iterator[Finding]:
    """Expect a libnvidia-container that knows cgroup version 2, where that is used."""
    engine, toolkit = case.facts.engine, case.facts.toolkit
    if engine is None or toolkit is None or engine.cgroup_version != 2:
        return
    if at_least(toolkit.container_cli, CGROUP2_CLI) is False and case.wants_gpu:
        yield found(
            "toolkit-cgroup2",
            "host",
            f"libnvidia-container {toolkit.container_cli}, cgroup version 2",
            f"libnvidia-container {CGROUP2_CLI} or newer",
            version=case.tables.recommended_toolkit,
        )


def toolkit_has_no_known_hole(case: Case) -> Iterator[Finding]:
    """Expect a version in which every listed hole is closed."""
    toolkit = case.facts.toolkit
    if toolkit is None or numbers(toolkit.version) is None:
        return
    only_cdi = _uses_only_cdi(case)
    open_holes: List[Cve] = []
    for cve in case.tables.toolkit_cves:
        fixed = cve.cdi_fixed if only_cdi and cve.cdi_fixed else cve.fixed
        if not at_least(toolkit.version, fixed):
            open_holes.append(cve)
    if open_holes:
        names = ", ".join(cve.id for cve in open_holes)
        last = max(
            (cve.fixed for cve in open_holes), key=lambda text: numbers(text) or ()
        )
        yield found(
            "toolkit-cve",
            "host",
            f"nvidia-container-toolkit {toolkit.version}: {names}",
            f"nvidia-container-toolkit {last} or newer",
            version=last,
        )


def _uses_only_cdi(case: Case) -> bool:
    paths = [gpu_path(case.facts, s.gpu) for s in case.services if s.wants_gpu]
    return bool(paths) and all(path == "cdi" for path in paths)


def gpus_survive_a_reload(case: Case) -> Iterator[Finding]:
    """Expect that systemctl daemon-reload does not take the GPUs away."""
    engine, toolkit = case.facts.engine, case.facts.toolkit
    if engine is None or engine.cgroup_driver != "systemd":
        return
    if toolkit is None or toolkit.char_links is not False:
        return
    for service in _docker_services(case):
        if gpu_path(case.facts, service.gpu) == "legacy":
            yield found(
                "toolkit-reload",
                f"service {service.name}",
                "cgroup driver systemd, legacy path, no links in /dev/char",
                "CDI, or links in /dev/char",
            )


def engine_fits_toolkit(case: Case) -> Iterator[Finding]:
    """Expect no snap, and of a rootless engine that the toolkit sets no rules."""
    engine, toolkit = case.facts.engine, case.facts.toolkit
    if engine is None or not case.wants_gpu:
        return
    if engine.snap:
        yield found(
            "engine-snap", "host", "Docker from a snap", "Docker from a package"
        )
    if _is_rootless_with_cgroups(engine, toolkit):
        for service in _docker_services(case):
            if gpu_path(case.facts, service.gpu) == "legacy":
                about = f"service {service.name}"
                measured = "rootless, no-cgroups is off"
                slug = "engine-rootless-cgroups"
                yield found(slug, about, measured, "CDI, or no-cgroups")


def _is_rootless_with_cgroups(engine: Engine, toolkit: object) -> bool:
    return bool(engine.rootless) and (
        isinstance(toolkit, Toolkit) and toolkit.no_cgroups is False
    )


def _docker_services(case: Case) -> List[ServiceNeeds]:
    """Return the services that want GPUs of Docker."""
    engine = case.facts.engine
    if engine is None or engine.kind == "podman":
        return []
    return [service for service in case.services if service.wants_gpu]
