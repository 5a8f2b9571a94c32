"""A unit that outlives its bundle would fail at every boot: an uninstall says so."""

from __future__ import annotations

import making
import pytest
from making import NO_ENGINE, PYZ, Host
from sealift_installer.cli import main
from sealift_installer.commands import uninstall


@pytest.mark.parametrize("has_unit", [True, False])
def test_an_uninstall_tells_how_the_units_start_at_boot_is_ended(
    has_unit, key, tmp_path, monkeypatch, capfd
):
    spec = making.weights_spec(tmp_path / "1", "acme", making.model_files("1"))
    bundle = making.build(spec, key, tmp_path / "out")
    host = Host(tmp_path / "host", bundle / PYZ, NO_ENGINE)
    host.run("install", bundle, "--key", key.public).expect(0)
    units = tmp_path / "units"
    making.write_files(units, {"sealift-acme.service": "[Unit]\n"} if has_unit else {})
    monkeypatch.setattr(uninstall, "FOLDER", str(units))
    places = ["--state-dir", str(host.state), "--config-dir", str(host.config)]

    code = main(["uninstall", "acme", "--yes", *places, "--engine", NO_ENGINE])

    told = capfd.readouterr().out
    unit = f"{units}/sealift-acme.service"
    ends = f"kept: {unit}; `systemctl disable sealift-acme.service && rm {unit}`"
    assert code == 0
    assert (ends in told) == has_unit
