"""A unit that outlives its bundle would fail at every boot: an uninstall says so."""

from __future__ import annotations

from argparse import ArgumentParser

import making
import pytest
from making import NO_ENGINE, PYZ, Host
from sealift_installer.commands import uninstall
from sealift_installer.engine import Engine
from sealift_installer.host import Host as InstallerHost
from sealift_installer.layout import Layout
from sealift_installer.report import Report


@pytest.mark.parametrize("has_unit", [True, False])
def test_an_uninstall_tells_how_the_units_start_at_boot_is_ended(
    has_unit, key, tmp_path, monkeypatch
):
    spec = making.weights_spec(tmp_path / "1", "acme", making.model_files("1"))
    bundle = making.build(spec, key, tmp_path / "out")
    host = Host(tmp_path / "host", bundle / PYZ, NO_ENGINE)
    host.run("install", bundle, "--key", key.public).expect(0)
    units = tmp_path / "units"
    making.write_files(units, {"sealift-acme.service": "[Unit]\n"} if has_unit else {})
    monkeypatch.setattr(uninstall, "FOLDER", str(units))
    layout = Layout(str(host.state), str(host.config))
    seen = InstallerHost(layout, Engine.connect(NO_ENGINE), Report(as_json=True))
    parser = ArgumentParser()
    uninstall.configure(parser)

    told, facts = uninstall.run(parser.parse_args(["acme", "--yes"]), seen)

    unit = f"{units}/sealift-acme.service"
    ends = f"kept: {unit}; `systemctl disable sealift-acme.service && rm {unit}`"
    assert (ends in told) == has_unit
    assert facts["unit_kept"] == (unit if has_unit else None)
