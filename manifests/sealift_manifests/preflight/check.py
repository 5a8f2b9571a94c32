"""Every check of a bundle on a host, all at once."""

from __future__ import annotations

from typing import Callable, Iterator, Optional, Tuple

from sealift_manifests.preflight.case import Case
from sealift_manifests.preflight.facts import HostFacts
from sealift_manifests.preflight.findings import Finding, sort_findings
from sealift_manifests.preflight.needs import Needs
from sealift_manifests.preflight.rules import (
    cdi,
    code,
    cuda,
    devices,
    disk,
    driver,
    engine,
    fabric,
    gpus,
    machine,
    memory,
    require,
    toolkit,
)
from sealift_manifests.preflight.tables import Tables, default_tables

Rule = Callable[[Case], Iterator[Finding]]

RULES: Tuple[Rule, ...] = (
    machine.platform_is_the_bundles,
    machine.python_runs_installer,
    machine.clock_is_right,
    machine.ports_are_free,
    machine.everything_was_read,
    disk.there_is_room,
    engine.engine_answers,
    engine.podman_gives_gpus,
    engine.compose_takes_stack,
    driver.driver_answers,
    driver.driver_is_of_one_version,
    driver.driver_is_maintained,
    gpus.driver_drives_gpu,
    gpus.modules_fit_gpu,
    gpus.kernel_wants_no_other_modules,
    gpus.gpu_answers,
    gpus.memory_is_sound,
    gpus.kernel_log_is_clean,
    gpus.gpu_can_be_shared,
    gpus.gpus_on_the_bus_are_driven,
    fabric.fabric_manager_runs,
    fabric.fabric_is_ready,
    fabric.nvswitch_is_known,
    devices.gpus_asked_for_are_there,
    devices.gpus_are_not_shared,
    cuda.driver_runs_cuda,
    cuda.cuda_supports_gpu,
    cuda.toolkit_puts_no_wrong_compat_in_front,
    cuda.compat_is_known,
    code.builds_have_code,
    code.servers_support_gpu,
    require.toolkit_accepts_image,
    toolkit.toolkit_is_there,
    toolkit.runtime_is_known_to_engine,
    toolkit.engine_was_restarted,
    toolkit.mode_serves_form,
    toolkit.cli_knows_cgroup2,
    toolkit.toolkit_has_no_known_hole,
    toolkit.gpus_survive_a_reload,
    toolkit.engine_fits_toolkit,
    cdi.cdi_serves_services,
    cdi.cdi_specs_are_fresh,
    memory.heads_divide,
    memory.model_fits,
    memory.memory_is_free,
)
"""All rules. Their order does not matter: findings are sorted."""


def check_host(
    needs: Optional[Needs], facts: HostFacts, tables: Optional[Tables] = None
) -> Tuple[Finding, ...]:
    """Return all that was found, worst first; with no `needs`, about the host alone.

    The room and the memory are judged as for a host that has nothing of the bundle:
    what is there already is to be taken off `needs` before.
    """
    case = Case(needs, facts, tables or default_tables())
    return sort_findings(finding for rule in RULES for finding in rule(case))
