"""Every recorded host is read as what it is, whichever way its driver answers."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from recorded import (
    NAMES,
    RECORDINGS,
    build_nvml,
    lay_out,
    recorded_facts,
    running_engine,
    without_nvml,
    without_tools,
)
from sealift_installer.probe.host import probe_host
from sealift_installer.probe.sources import Sources
from sealift_manifests.preflight.check import check_host
from sealift_manifests.preflight.facts import Fault, Gpu, HostFacts
from sealift_manifests.preflight.needs import (
    Build,
    GpuRequest,
    ImageNeeds,
    Needs,
    ServiceNeeds,
    Variable,
)
from sealift_manifests.preflight.tables import default_tables

# What the host itself does not say, but the machine the tests run on.
OURS = {"python": None, "glibc": None, "clock": None, "file_systems": None}

EXPECTED = json.loads((RECORDINGS / "findings.json").read_text())
REQUIRE_12_9 = "cuda>=12.9 " + " ".join(
    f"brand={brand},driver>={branch},driver<{branch + 1}"
    for brand in ("unknown", "tesla", "nvidia", "quadro", "nvidiartx")
    for branch in (535, 550, 565, 570)
)


def serving(cuda: str, native: tuple[str, ...], request: GpuRequest) -> Needs:
    """Return what a bundle with vLLM, for one GPU, asks of a host."""
    image = ImageNeeds(
        name="vllm",
        platform="linux/amd64",
        cuda=cuda,
        requires=(Variable("NVIDIA_REQUIRE_CUDA", REQUIRE_12_9),),
        disable_require="",
        visible_devices="all",
        compat=(),
        builds=(Build("torch", "2.8.0", "12.9", native, ("12.0",)),),
        archive_size=10 << 30,
        unpacked_size=20 << 30,
    )
    service = ServiceNeeds(
        name="llm",
        image="vllm",
        models=(),
        wants_gpu=True,
        gpu=request,
        server="vllm",
        ports=(),
    )
    return Needs("chat 1", "linux/amd64", None, (image,), (), (service,))


SMS = ("7.0", "7.5", "8.0", "8.6", "9.0", "10.0", "12.0")
BUNDLES = {
    "alone": None,
    "reservations": serving("12.9", SMS, GpuRequest("reservations", count=1)),
    "runtime": serving("12.9", SMS, GpuRequest("runtime")),
}


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> Path:
    return build_nvml(tmp_path_factory.mktemp("nvml"))


def read(sources: Sources, folder: Path) -> HostFacts:
    with running_engine(folder) as engine:
        facts = probe_host(sources, engine)
    return comparable(facts)


def comparable(facts: HostFacts) -> HostFacts:
    """Return facts without what differs from run to run, and faults without words."""
    gpus = facts.gpus
    if gpus is not None:
        gpus = tuple(replace(gpu, fault=_slug(gpu.fault)) for gpu in gpus)
    return replace(
        facts,
        taken="",
        gpus=gpus,
        driver=replace(facts.driver, fault=_slug(facts.driver.fault)),
        machine=replace(facts.machine, **OURS),
        engine=replace(facts.engine, started=None),
    )


def _slug(fault: Fault | None) -> Fault | None:
    return Fault(fault.slug) if fault else None


def bare(gpu: Gpu) -> Gpu:
    """Return what the kernel alone knows of a GPU."""
    return Gpu(gpu.index, gpu.name, gpu.uuid, gpu.bus_id)


@pytest.mark.parametrize("name", NAMES)
def test_a_host_is_read_as_what_it_is(name, tmp_path, library):
    sources = replace(lay_out(name, tmp_path, library), patience=_patience(name))

    facts = read(sources, tmp_path)

    assert facts == comparable(recorded_facts(name))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"gpu-lost"}))
def test_nvidia_smi_says_the_same_as_nvml(name, tmp_path, library):
    sources = replace(lay_out(name, tmp_path, library), patience=_patience(name))

    facts = read(without_nvml(sources), tmp_path)

    assert facts == comparable(recorded_facts(name))


def _patience(name: str) -> float:
    return 1.0 if name == "smi-hangs" else 20.0


@pytest.mark.parametrize(
    "name",
    [name for name in NAMES if recorded_facts(name).driver.loaded],
)
def test_the_kernel_alone_says_the_same_as_far_as_it_knows(name, tmp_path, library):
    sources = lay_out(name, tmp_path, library)

    facts = read(without_tools(sources), tmp_path)

    known = recorded_facts(name)
    assert facts.driver == replace(
        known.driver, cuda=None, fault=Fault("library-missing")
    )
    assert facts.pci_gpus == known.pci_gpus
    listed = [bare(gpu) for gpu in known.gpus if gpu.bus_id]
    assert list(facts.gpus) == listed


def test_nvidia_smi_says_that_a_gpu_is_lost_and_the_kernel_which_there_were(
    tmp_path, library
):
    sources = lay_out("gpu-lost", tmp_path, library)

    facts = read(without_nvml(sources), tmp_path)

    assert facts.driver.fault == Fault("gpu-lost")
    assert [gpu.name for gpu in facts.gpus] == ["NVIDIA L40S"]


@pytest.mark.parametrize("way", [lambda sources: sources, without_nvml])
def test_a_driver_that_hangs_is_given_up_with_all_it_started(way, tmp_path, library):
    sources = way(replace(lay_out("smi-hangs", tmp_path, library), patience=0.5))

    start = time.monotonic()
    facts = read(sources, tmp_path)

    assert time.monotonic() - start < 10
    assert facts.driver.fault == Fault("probe-timeout")
    assert not _running(str(tmp_path))


def _running(words: str) -> list[str]:
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                line = (place / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if words in line and ("nvidia-smi" in line or "libnvidia-ml" in line):
                found.append(line)
    return found


@pytest.mark.parametrize("bundle", sorted(BUNDLES))
@pytest.mark.parametrize("name", NAMES)
def test_a_host_has_the_findings_it_should(name, bundle):
    findings = check_host(BUNDLES[bundle], recorded_facts(name), default_tables())

    # What a bundle's own size and this suite's empty tables of disks add is no
    # matter of the host.
    found = [f"{f.level} {f.slug}" for f in findings if not f.slug.startswith("disk-")]
    assert sorted(set(found)) == EXPECTED[name][bundle]


def test_every_recording_says_where_it_is_from():
    texts = [(RECORDINGS / name / "README.md").read_text() for name in NAMES]

    assert len(texts) >= 15
    assert all("not recorded on hardware" in text for text in texts)
