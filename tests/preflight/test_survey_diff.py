"""What has changed on a host since its survey."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from preflight_making import GIB, a_gpu, a_host, with_changes
from sealift_manifests.preflight.diff import Change, diff_surveys, nearest_survey
from sealift_manifests.preflight.facts import (
    CdiSpec,
    Fault,
    HostFacts,
    ListeningPort,
    ProbeFault,
)
from sealift_manifests.preflight.survey import redact


def told(old: HostFacts, new: HostFacts) -> list[tuple[str, str | None, str | None]]:
    return [(each.fact, each.old, each.new) for each in diff_surveys(old, new)]


def test_a_host_is_the_same_as_itself_and_as_its_redacted_survey():
    host = replace(a_host(count=2), name="gpu1")

    assert diff_surveys(host, host) == ()
    assert diff_surveys(redact(host), host) == ()


def test_a_host_is_compared_with_its_own_survey_or_else_with_the_nearest():
    host = replace(a_host(count=2), name="gpu1")
    own = replace(a_host(count=4), name="gpu1")
    twin, other = replace(host, name=None), replace(a_host(count=4), name=None)

    assert nearest_survey([twin, own], host) == (own, diff_surveys(own, host))
    assert nearest_survey([other, twin], host) == (twin, ())
    assert nearest_survey([], host) is None


def test_what_changes_by_the_minute_is_left_out():
    old = a_host()
    new = with_changes(
        old,
        taken="2027-01-01T00:00:00Z",
        gpus=tuple(replace(gpu, memory_free=1) for gpu in old.gpus or ()),
        machine={
            "memory_available": 1,
            "clock": "2027-01-01T00:00:00Z",
            "file_systems": tuple(
                replace(fs, free=GIB) for fs in old.machine.file_systems
            ),
        },
        engine={"started": "2027-01-01T00:00:00Z"},
        faults=(ProbeFault("kernel-log", "no-permission"),),
    )

    assert told(old, new) == []


def test_another_driver_and_another_gpu_are_told_by_name():
    old = a_host("570.124.06", "L40S", 2)
    new = replace(a_host("580.95.05", "L40S", 2), gpus=(a_gpu("L40S"), a_gpu("A10", 1)))

    changes = told(old, new)

    assert ("driver.loaded", "570.124.06", "580.95.05") in changes
    assert ("gpus[1].name", "NVIDIA L40S", "NVIDIA A10") in changes
    assert not any(fact.startswith("gpus[0]") for fact, _, _ in changes)


def test_what_is_gone_and_what_is_new_are_told():
    old, new = a_host(count=2), a_host(count=1)

    assert told(old, new) == [("gpus[1]", "NVIDIA L40S", None)]
    assert told(new, old) == [("gpus[1]", None, "NVIDIA L40S")]


def test_a_port_a_spec_and_a_fault_that_came_are_told():
    old = a_host()
    new = with_changes(
        old,
        machine={"ports": (ListeningPort(8000, owner="nginx"),)},
        cdi_specs=(CdiSpec("/etc/cdi/nvidia.yaml", "nvidia.com/gpu"),),
        driver={"fault": Fault("not-loaded")},
        toolkit={"mode": "cdi", "cdi_hook": None},
    )

    assert told(old, new) == [
        ("driver.fault", None, "not-loaded"),
        ("toolkit.cdi_hook", "yes", None),
        ("toolkit.mode", "auto", "cdi"),
        ("cdi_specs[/etc/cdi/nvidia.yaml]", None, "there"),
        ("machine.ports[8000]", None, "there"),
    ]


@pytest.mark.parametrize(
    "part", [f.name for f in fields(HostFacts) if f.name not in ("taken", "faults")]
)
def test_a_part_the_survey_left_out_is_no_change(part):
    old = HostFacts(taken="2026-11-23T12:00:00Z")
    new = a_host()

    assert diff_surveys(old, replace(old, **{part: getattr(new, part)})) == ()


def test_a_part_that_could_not_be_read_now_is_told():
    old = a_host()

    assert Change("toolkit", "1.19.1", None) in diff_surveys(
        old, replace(old, toolkit=None)
    )
