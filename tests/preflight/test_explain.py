"""Every error text that is known leads to a finding with a remedy."""
# ruff: noqa: E501

from __future__ import annotations

import pytest
from sealift_manifests.preflight.catalog import KINDS
from sealift_manifests.preflight.explain import PATTERNS, explain, kind_of, remedy_of
from sealift_manifests.preflight.tables import default_tables

_NVC = "nvidia-container-cli: "
TEXTS = (
    (
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
        "Make sure that the latest NVIDIA driver is installed and running.",
        "driver-not-loaded",
    ),
    (
        "Failed to initialize NVML: Driver/library version mismatch\n"
        "NVML library version: 535.104",
        "driver-mismatch",
    ),
    ("RM has detected an NVML/RM version mismatch.", "driver-mismatch"),
    ("No devices were found", "gpu-none"),
    ("Failed to initialize NVML: Insufficient Permissions", "driver-permission"),
    ("The operating system has blocked the request.", "driver-permission"),
    ("Driver Not Loaded", "driver-not-loaded"),
    ("NVML Shared Library Not Found", "driver-library-missing"),
    ("Failed to initialize NVML: Unknown Error", "toolkit-reload"),
    (
        "Unable to determine the device handle for GPU0000:3B:00.0: GPU is lost. "
        "Reboot the system to recover this GPU",
        "gpu-lost",
    ),
    ("[GPU requires reset]", "gpu-reset-needed"),
    ("bash: nvidia-smi: command not found", "driver-not-installed"),
    (
        "NVRM: installed in this system requires use of the NVIDIA open kernel modules.",
        "gpu-modules-wrong",
    ),
    (
        "fabric manager NVIDIA GPU driver interface version 550.127.05 don't match with "
        "driver version 550.120. Please update with matching NVIDIA driver package.",
        "fabric-manager-version",
    ),
    (
        "NVRM: Xid (PCI:0000:01:00): 79, pid=1, GPU has fallen off the bus.",
        "gpu-lost",
    ),
    ("NVRM: Xid (PCI:0000:01:00): 95, pid=1, Uncontained", "gpu-xid-fatal"),
    ("NVRM: Xid (PCI:0000:01:00): 31, pid=1, MMU Fault", "gpu-xid"),
    ("Error 802: system not yet initialized", "fabric-manager-off"),
    (
        "Unexpected error from cudaGetDeviceCount(). Error 803: system has unsupported "
        "display driver / cuda driver combination",
        "compat-harmful",
    ),
    ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "compat-harmful"),
    (
        "Error 804: forward compatibility was attempted on non supported HW",
        "compat-wrong-gpu",
    ),
    ("CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "compat-wrong-gpu"),
    ("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "code-ptx-too-new"),
    ("cuInit: CUDA error 100: no CUDA-capable device is detected", "gpu-not-visible"),
    (
        "CUDA error: no kernel image is available for execution on the device",
        "code-missing",
    ),
    (
        'Error response from daemon: could not select device driver "" with '
        "capabilities: [[gpu]]",
        "toolkit-missing",
    ),
    (
        'could not select device driver "nvidia" with capabilities: [[gpu]]',
        "toolkit-missing",
    ),
    ('could not select device driver "cdi" with capabilities: []', "cdi-off"),
    ("unknown or invalid runtime name: nvidia", "toolkit-not-configured"),
    ("Unknown runtime specified nvidia", "toolkit-not-configured"),
    (
        "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all",
        "cdi-missing",
    ),
    (
        "could not apply required modification to OCI specification: error modifying OCI "
        "spec: failed to inject CDI devices: unresolvable CDI devices",
        "cdi-missing",
    ),
    (
        "failed to discover GPU vendor from CDI: no known GPU vendor found",
        "toolkit-missing",
    ),
    ("no CDI device driver registered", "toolkit-missing"),
    ("AMD CDI spec not found", "toolkit-missing"),
    (
        f"{_NVC}initialization error: nvml error: driver not loaded",
        "driver-not-loaded",
    ),
    (
        f"{_NVC}initialization error: load library failed: libnvidia-ml.so.1: cannot "
        "open shared object file: no such file or directory",
        "driver-library-missing",
    ),
    (
        f"{_NVC}requirement error: unsatisfied condition: cuda>=12.4, please update your "
        "driver to a newer version, or use an earlier cuda container",
        "require-refused",
    ),
    ("unsatisfied condition: cuda>=12.4 (cuda=12.2)", "require-refused"),
    (f"{_NVC}requirement error: invalid expression", "require-malformed"),
    (f"{_NVC}requirement error: too many requirements", "require-malformed"),
    (f"{_NVC}device error: 7: unknown device", "gpu-not-there"),
    (
        f"{_NVC}mount error: failed to add device rules: bpf_prog_query"
        "(BPF_CGROUP_DEVICE) failed: operation not permitted",
        "toolkit-cgroup2",
    ),
    (
        "invoking the NVIDIA Container Runtime Hook directly (e.g. specifying the docker "
        "--gpus flag) is not supported. Please use the NVIDIA Container Runtime",
        "toolkit-mode",
    ),
    (
        'error gathering device information while adding custom device "nvidia.com/gpu=0"'
        ": no such file or directory",
        "compose-too-old",
    ),
    ("KeyError: 'id'", "compose-v1"),
    (
        "Free memory on device cuda:0 (20.1/22.5 GiB) on startup is less than desired "
        "GPU memory utilization (0.92, 20.7 GiB).",
        "memory-busy",
    ),
    (
        "To serve at least one request with the models's max seq len (32768), (4.0 GiB "
        "KV cache is needed, which is larger than the available KV cache memory "
        "(3.2 GiB).",
        "memory-too-small",
    ),
    (
        "Total number of attention heads (40) must be divisible by tensor parallel "
        "size (3).",
        "heads-not-divisible",
    ),
)


@pytest.mark.parametrize(("text", "slug"), TEXTS, ids=lambda value: value[:60])
def test_an_error_text_leads_to_its_finding(text, slug):
    assert explain(text) == slug
    assert explain(f"log line before\n  {text}\nlog line after") == slug


@pytest.mark.parametrize("text", ["", "all is well", "cuda>=12.4", "Error 8031"])
def test_a_text_that_means_nothing_leads_nowhere(text):
    assert explain(text) is None
    assert kind_of(text) is None


def test_an_error_text_is_found_though_its_lines_are_broken():
    assert explain("No devices\n   were found") == "gpu-none"


def test_every_pattern_leads_to_a_slug_of_the_catalog():
    assert {slug for _, slug in PATTERNS} <= set(KINDS)


@pytest.mark.parametrize("slug", sorted({slug for _, slug in PATTERNS}))
def test_a_remedy_without_a_host_says_where_its_blanks_are_filled_in(slug):
    remedy = remedy_of(KINDS[slug], default_tables())

    assert ("<" in remedy) == ("what stands in <>" in remedy)
    assert remedy != "<remedy>"


def test_a_remedy_about_the_toolkit_names_its_version():
    kind = kind_of('could not select device driver "" with capabilities: [[gpu]]')

    version = default_tables().recommended_toolkit
    assert f"toolkit {version} or newer" in remedy_of(kind, default_tables())


def test_what_a_text_means_comes_with_a_remedy():
    kind = kind_of("No devices were found")

    assert kind is not None
    assert "lspci" in kind.remedy
