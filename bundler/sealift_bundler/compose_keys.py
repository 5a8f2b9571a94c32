"""Keys of the Compose file format, to tell a misspelt one before the trip.

Compose v2 refuses a key that it does not know, docker-compose 1.29 some; both only
when the stack is started. A key unlike any of these is left to Compose: formats grow.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

_ALIKE = 0.8
_ALIKE_IN_CHECKS = 0.6  # few keys, and no format of Compose takes any other

_OF_A_SERVICE = """
annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command
configs container_name cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period
cpu_rt_runtime cpu_shares cpus cpuset credential_spec depends_on deploy develop
device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file
environment expose extends external_links extra_hosts gpus group_add healthcheck
hostname image init ipc isolation labels label_file links logging mac_address
mem_limit mem_reservation mem_swappiness memswap_limit models network_mode networks
oom_kill_disable oom_score_adj pid pids_limit platform ports post_start pre_stop
privileged profiles provider pull_policy read_only restart runtime scale secrets
security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls
tmpfs tty ulimits use_api_socket user userns_mode uts volumes volumes_from working_dir
"""
_OF_A_HEALTHCHECK = """
disable interval retries start_interval start_period test timeout
"""

SERVICE_KEYS = frozenset(_OF_A_SERVICE.split())
"""The keys of a service; source: the Compose Specification, as of 2026."""

HEALTHCHECK_KEYS = frozenset(_OF_A_HEALTHCHECK.split())
"""The keys of a health check, from the same source."""


def misspelt_keys(service: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the place of each key that is nearly one Compose knows, and that one."""
    yield from (((key,), meant) for key, meant in _misspelt(service, SERVICE_KEYS))
    check = service.get("healthcheck")
    if isinstance(check, Mapping):
        for key, meant in _misspelt(check, HEALTHCHECK_KEYS, _ALIKE_IN_CHECKS):
            yield ("healthcheck", key), meant


def _misspelt(
    written: Mapping[str, Any], known: frozenset[str], alike: float = _ALIKE
) -> Iterator[tuple[str, str]]:
    for key in map(str, written):
        if key not in known and not key.startswith("x-"):
            near = difflib.get_close_matches(key, sorted(known), 1, alike)
            if near:
                yield key, near[0]
