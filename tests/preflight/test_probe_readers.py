"""What the probe reads on its own: settings, specifications, ports, odd answers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sealift_installer.engine import Engine
from sealift_installer.probe import cdi, kernel, machine, ports, smi, toolkit
from sealift_installer.probe.blocks import read_blocks
from sealift_installer.probe.host import probe_host
from sealift_installer.probe.processes import started
from sealift_installer.probe.sources import Sources, run_limited

SORTED_KEYS = """\
cdiVersion: 0.6.0
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
  hooks:
  - args:
    - nvidia-cdi-hook
    - update-ldcache
    - --folder
    hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
devices:
- containerEdits:
    deviceNodes:
    - hostPath: /dev/nvidia0
      path: /dev/gpu
  name: "0"
- containerEdits: {}
  name: all
kind: nvidia.com/gpu
"""


@pytest.fixture
def sources(tmp_path) -> Sources:
    (tmp_path / "bin").mkdir()
    return Sources(str(tmp_path / "root"), str(tmp_path / "bin"), None, 5.0)


def put(sources: Sources, path: str, text: str) -> None:
    place = Path(sources.at(path))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def program(sources: Sources, name: str, text: str) -> None:
    place = Path(sources.path) / name
    place.write_text(f"#!/bin/sh\n{text}\n")
    place.chmod(0o755)


def test_an_empty_host_has_nothing_and_no_part_of_it_breaks(sources, tmp_path):
    facts = probe_host(sources, Engine(str(tmp_path / "no.sock")), [("/x", "state")])

    assert facts.faults == ()
    assert facts.driver.fault.slug == "not-installed"
    assert facts.engine.fault.slug == "not-installed"
    assert (facts.name, facts.pci_gpus, facts.nvswitch) == (None, None, None)
    assert facts.kernel_log.xids is None
    assert facts.machine.ports is None
    assert (facts.machine.selinux, facts.machine.apparmor) == (None, None)


def test_a_part_that_breaks_leaves_the_others_standing(sources, tmp_path):
    put(sources, "/proc/net/tcp", "header\n0: zz:16 x 0A 0 0 0 0 0 0 0\n")
    put(sources, "/proc/driver/nvidia/version", "NVRM: Kernel Module  550.1.2  x")

    facts = probe_host(sources, Engine(str(tmp_path / "no.sock")))

    assert [fault.probe for fault in facts.faults] == ["machine"]
    assert facts.driver.loaded == "550.1.2"


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Failed to initialize NVML: Insufficient Permissions", "no-permission"),
        ("Failed to initialize NVML: Unknown Error", "unknown-error"),
        ("NVIDIA-SMI couldn't find libnvidia-ml.so library", "library-missing"),
    ],
)
def test_what_nvidia_smi_says_counts_not_its_exit_code(sources, text, slug):
    program(sources, "nvidia-smi", f'echo "{text}"; exit 255')

    assert smi.ask(sources).fault.slug == slug


def test_a_field_that_nvidia_smi_does_not_know_costs_only_itself(sources):
    program(
        sources,
        "nvidia-smi",
        'case "$1" in\n'
        '*driver_version*) echo \'Field "driver_version" is not a valid field to '
        "query.'; exit 2 ;;\n"
        "--query-gpu=index,uuid,name,memory.total) echo '0, GPU-1, NVIDIA T4, 8' ;;\n"
        "--query-gpu=index,memory.free) echo '0, 7' ;;\n"
        "*) echo 'Field is not a valid field to query.'; exit 2 ;;\n"
        "esac",
    )

    (gpu,) = smi.ask(sources).gpus

    assert (gpu.name, gpu.memory_total, gpu.memory_free) == (
        "NVIDIA T4",
        8 << 20,
        7 << 20,
    )
    assert (gpu.ecc, gpu.compute_capability, gpu.mig_instances) == (None, None, None)


def test_a_gpu_that_requires_a_reset_is_told_apart(sources):
    program(
        sources,
        "nvidia-smi",
        'case "$1" in *driver_version*) echo "0, GPU-1, T4, 580.1.1, '
        '[GPU requires reset]" ;; esac',
    )

    (gpu,) = smi.ask(sources).gpus

    assert gpu.fault.slug == "requires-reset"
    assert (gpu.memory_total, gpu.unified_memory) == (None, None)


def test_a_program_that_hangs_is_killed_with_its_children(tmp_path):
    script = tmp_path / "hang"
    script.write_text(f"#!/bin/sh\n/bin/sleep 300 & echo $! > {tmp_path}/child; wait\n")
    script.chmod(0o755)

    start = time.monotonic()
    ran = run_limited((str(script),), "", 0.5)

    assert ran.status is None
    assert time.monotonic() - start < 4
    child = (tmp_path / "child").read_text().strip()
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_specifications_are_read_as_either_writer_spells_them():
    value = read_blocks(SORTED_KEYS)

    assert [device["name"] for device in value["devices"]] == ["0", "all"]
    assert value["devices"][1]["containerEdits"] == {}
    assert value["containerEdits"]["hooks"][0]["args"][-1] == "--folder"


@pytest.mark.parametrize(
    "text",
    [
        "kind: &anchor nvidia.com/gpu",
        "kind: [nvidia.com/gpu]",
        "kind: |\n  nvidia.com/gpu",
        'kind: "a\\tb"',
        "kind: a\nkind: b",
        "kind: a\n    more: b",
        "kind: a # not said to be a comment",
        "- ",
        "\tkind: a",
        "just words",
    ],
)
def test_yaml_that_is_not_simple_is_not_guessed_at(text):
    with pytest.raises(ValueError):
        read_blocks(text)


def test_what_a_specification_names_is_looked_for_on_the_host(sources):
    put(sources, "/etc/cdi/nvidia.yaml", SORTED_KEYS)
    put(sources, "/etc/cdi/amd.json", json.dumps({"kind": "amd.com/gpu"}))
    put(sources, "/etc/cdi/odd.yml", "kind: *alias")
    put(sources, "/dev/nvidiactl", "")

    nvidia, odd = cdi.read_specs(sources, None)

    assert nvidia.devices == ("0", "all")
    assert nvidia.missing == ("/dev/nvidia0", "/usr/bin/nvidia-cdi-hook")
    assert odd.fault.slug == "unknown-error"
    assert (odd.kind, odd.devices) == (None, None)


def test_settings_are_read_by_section_and_comments_are_none():
    text = (
        '#mode = "legacy"\n[nvidia-container-runtime]\nmode = "cdi" # why\n'
        "[nvidia-container-cli]\n#no-cgroups = true\nno-cgroups = false\n"
        '[features]\ndisable-cuda-compat-lib-hook = true\nlist = ["a"]\n'
    )

    assert toolkit.read_settings(text) == {
        "nvidia-container-runtime.mode": "cdi",
        "nvidia-container-cli.no-cgroups": "false",
        "features.disable-cuda-compat-lib-hook": "true",
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"runtimes": {"nvidia": {}}}', True),
        ("{}", False),
        ("", False),
        ("{broken", None),
        ("[]", None),
    ],
)
def test_a_daemon_json_that_cannot_be_read_is_unknown(sources, text, found):
    put(sources, "/etc/docker/daemon.json", text)

    assert toolkit.runtime_configured(sources, "/etc/docker/daemon.json") is found


def test_listening_ports_of_this_machine_are_found_with_their_owner():
    six = socket.create_server(("::1", 0), family=socket.AF_INET6)
    with socket.create_server(("127.0.0.1", 0)) as four, six:
        wanted = {
            ("127.0.0.1", four.getsockname()[1]),
            ("::1", six.getsockname()[1]),
        }
        found = ports.listening(Sources())

    mine = {(p.address, p.port): p.owner for p in found}
    assert wanted <= set(mine)
    comm = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    assert {mine[each] for each in wanted} == {comm}


def test_this_process_was_started_in_the_past_and_not_long_ago():
    when = started(Sources(), str(os.getpid()))

    assert time.time() - 3600 < when < time.time() + 1


def test_the_kernels_own_log_is_read_where_no_program_gives_it(sources):
    put(
        sources,
        "/dev/kmsg",
        "4,100,200,-;NVRM: Xid (PCI:0000:3B:00): 48, pid=1, DBE\n"
        "6,101,201,-;NVRM: loading NVIDIA UNIX\n"
        "3,102,202,-;NVRM: GPU 0000:3b:00.0: RmInitAdapter failed! (0x26:0x56)\n",
    )

    log = kernel.kernel_log(sources)

    assert [(xid.number, xid.bus_id) for xid in log.xids] == [(48, "0000:3b:00.0")]
    assert log.nvrm == ("NVRM: GPU 0000:3b:00.0: RmInitAdapter failed! (0x26:0x56)",)


def test_the_deepest_mount_says_the_kind_of_a_file_system(sources):
    put(sources, "/srv/my models/x", "")
    put(
        sources,
        "/proc/self/mountinfo",
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        "2 1 8:2 / /srv/my\\040models rw,x shared:1 - xfs /dev/sdb rw\n"
        "3 1 8:3 / /srv/my rw - btrfs /dev/sdc rw\n",
    )

    found = machine.read_machine(
        sources, [("/srv/my models/x/y", "state"), ("/etc", "bundle")]
    ).file_systems

    assert [(each.purpose, each.type) for each in found] == [
        ("state", "xfs"),
        ("bundle", "ext4"),
    ]


def test_nvml_that_breaks_off_is_a_fault_and_not_a_guess(sources, tmp_path):
    (tmp_path / "c.c").write_text(
        '#include <stdlib.h>\nchar *nvmlErrorString(int c) { return ""; }\n'
        "int nvmlSystemGetNVMLVersion(char *o, unsigned s) { abort(); }\n"
    )
    library = tmp_path / "libnvidia-ml.so.1"
    source = tmp_path / "c.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    crashing = replace(sources, nvml=str(library))

    facts = probe_host(crashing, Engine(str(tmp_path / "no.sock")))

    assert facts.driver.fault.slug == "unknown-error"
    assert "broke off" in facts.driver.fault.text
