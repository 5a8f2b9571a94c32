"""The unit that starts a stack at boot: what systemd makes of it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import hosts
import pytest
from sealift_installer.systemd_unit import (
    UnitWishes,
    engine_unit,
    quoted,
    systemd_version,
    unit_text,
)
from sealift_manifests.errors import FellBackError, StartError

SYSTEMD = shutil.which("systemd-analyze")
WISHES = UnitWishes(
    name="acme",
    command=("/usr/bin/python3", "-I", "-B", "/var/lib/sealift/current/acme/s.pyz"),
    start_options=(),
    places=("/var/lib/sealift", "/etc/sealift", "/var/lib/docker"),
    engine_unit="docker.service",
    wants_gpus=True,
    systemd=252,
)


def settings(text: str) -> dict[str, list[str]]:
    """Return the settings of a unit, each with all its values."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_nothing_serves_before_the_audit_and_nothing_is_cut_off_by_the_clock():
    unit = settings(unit_text(WISHES))

    run = "/usr/bin/python3 -I -B /var/lib/sealift/current/acme/s.pyz"
    # `start` audits; what Docker has started by itself is stopped before.
    # Neither is hindered by another bundle's start or install, which takes hours.
    assert unit["ExecStartPre"] == [f"{run} stop acme --at-once"]
    assert unit["ExecStart"] == [f"{run} start acme --wait-for-lock"]
    assert unit["ExecStop"] == [f"{run} stop acme --at-once"]
    assert unit["TimeoutStartSec"] == ["infinity"]
    assert unit["Requires"] == ["docker.service"]
    assert unit["RequiresMountsFor"] == [
        "/var/lib/sealift /etc/sealift /var/lib/docker"
    ]
    (after,) = unit["After"]
    assert "docker.service" in after and "nvidia-persistenced.service" in after
    assert (unit["Restart"], unit["RestartSec"]) == (["on-failure"], ["60"])
    assert "50" in unit["RestartPreventExitStatus"][0].split()


def test_a_start_that_ends_with_the_release_before_serving_is_not_tried_again():
    unit = settings(unit_text(WISHES))

    # A second start would stop what serves, and audit it anew.
    assert unit["SuccessExitStatus"] == [str(FellBackError.exit_code)] == ["47"]
    assert StartError.exit_code != FellBackError.exit_code


def test_a_stack_without_gpus_waits_for_none():
    assert "nvidia" not in unit_text(replace(WISHES, wants_gpus=False))


def test_an_old_systemd_is_given_no_restart_which_it_would_refuse():
    assert "Restart=" not in unit_text(replace(WISHES, systemd=239))
    assert "Restart=" in unit_text(replace(WISHES, systemd=None))
    assert systemd_version("systemd 239 (239-82.el8)\n+PAM") == 239
    assert systemd_version("nothing") is None


def test_the_unit_is_that_of_the_engine():
    assert engine_unit("Podman Engine") == "podman.socket"
    assert engine_unit("Engine") == engine_unit("") == "docker.service"


def test_words_are_written_as_systemd_reads_them():
    assert quoted("/srv/a b") == '"/srv/a b"'
    assert quoted("100%") == '"100%%"'
    assert quoted("$HOME", variables=True) == '"$$HOME"'
    assert quoted('say "x" \\') == '"say \\"x\\" \\\\"'


ODD = "/srv/my models/100% $HOME 'x'"


@pytest.mark.skipif(
    SYSTEMD is None and not hosts.in_ci(), reason="systemd-analyze is not installed"
)
@pytest.mark.parametrize("folder", ["/var/lib/sealift", ODD])
def test_systemd_takes_the_unit(folder: str, tmp_path: Path):
    python = "/usr/bin/env"
    wishes = replace(
        WISHES,
        command=(python, "-I", "-B", "s.pyz", "--state-dir", folder),
        start_options=("--accept", "driver-old"),
        places=(folder,),
    )
    unit = tmp_path / "sealift-acme.service"
    unit.write_text(unit_text(wishes))
    for name in ("docker", "nvidia-persistenced"):
        (tmp_path / f"{name}.service").write_text("[Service]\nExecStart=/bin/true\n")

    env = {"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"}
    told = subprocess.run(
        [str(SYSTEMD), "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        env=env,
    )

    assert [x for x in told.stderr.splitlines() if "sealift-acme" in x] == []
    assert told.returncode == 0, told.stderr

    # What it does not take, it says: the check is not blind.
    unit.write_text(unit.read_text().replace("Type=oneshot", "Type=nonsense"))
    blamed = subprocess.run(
        [str(SYSTEMD), "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        env=env,
    )
    assert "nonsense" in blamed.stderr
