"""The tables of NVIDIA's compatibility rules: typed, checked, and with a date.

They ship as nvidia_tables.json; `newest` chooses between them and those that bundles
carry. What a table does not know is None, and makes a finding "unknown".
"""

from __future__ import annotations

import pkgutil
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Dict, List, Optional, Tuple

from sealift_manifests import records, strictjson
from sealift_manifests.errors import FormatVersionError, ManifestError
from sealift_manifests.preflight.versions import capability, major_minor, numbers
from sealift_manifests.records import require

TABLES_TYPE = "sealift-nvidia-tables"
TABLES_FORMAT = 1
_FILE = "nvidia_tables.json"
_DATE = re.compile(r"20[0-9]{2}-[01][0-9](?:-[0-3][0-9])?\Z")
_OTHER_VERSION = "Use the tables with the version of Sealift they came with."
_MOST_PATTERN = 200
KINDS = ("data-center", "workstation", "geforce", "jetson")


def _check(*versions: Optional[str]) -> None:
    for version in versions:
        require(not version or numbers(version), f"bad version {version!r}")


def _check_capabilities(*values: Optional[str]) -> None:
    for value in values:
        require(value is None or capability(value), f"bad capability {value!r}")


@dataclass(frozen=True)
class ToolkitDriver:
    """A CUDA release and the Linux driver it came with; "" where that is unknown."""

    cuda: str
    driver: str

    def __post_init__(self) -> None:
        _check(self.cuda, self.driver)


@dataclass(frozen=True)
class Branch:
    """A driver branch: its CUDA version, type, and the month its support ends."""

    branch: int
    cuda: str
    type: str
    supported: Optional[bool] = None
    end_of_life: Optional[str] = None

    def __post_init__(self) -> None:
        _check(self.cuda)
        require(not self.end_of_life or _DATE.match(self.end_of_life), "bad month")


@dataclass(frozen=True)
class MinorVersion:
    """The oldest driver on which every CUDA of a major version runs."""

    major: int
    driver: str

    def __post_init__(self) -> None:
        _check(self.driver)


@dataclass(frozen=True)
class Forward:
    """The host branches that the compat libraries of a CUDA version support."""

    cuda: str
    hosts: Tuple[int, ...]

    def __post_init__(self) -> None:
        _check(self.cuda)


@dataclass(frozen=True)
class Brand:
    """An NVML brand: its number, NVML's name, and its name in NVIDIA_REQUIRE_*."""

    id: int
    nvml: str
    require: str


@dataclass(frozen=True)
class CudaTargets:
    """The compute capabilities that CUDA `first` to `last` can build for."""

    first: str
    last: str
    min: str
    max: str
    targets: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(self.first, self.last)
        _check_capabilities(self.min, self.max, *self.targets)


@dataclass(frozen=True)
class Architecture:
    """A GPU generation: the drivers, kernel modules and CUDA versions it takes."""

    name: str
    capabilities: Tuple[str, ...]
    modules: str
    first_branch: Optional[int] = None
    last_branch: Optional[int] = None
    first_cuda: Optional[str] = None
    last_cuda: Optional[str] = None

    def __post_init__(self) -> None:
        require(self.modules in ("open", "proprietary", "either"), "bad modules")
        _check(self.first_cuda, self.last_cuda)
        _check_capabilities(*self.capabilities)


@dataclass(frozen=True)
class GpuModel:
    """GPUs by the name the driver prints; the first pattern that matches counts."""

    pattern: str
    capability: str
    kind: str
    nvswitch: bool = False
    mig: bool = False
    unified_memory: bool = False

    def __post_init__(self) -> None:
        require(self.kind in KINDS, f"bad kind {self.kind!r}")
        _check_capabilities(self.capability)
        require(len(self.pattern) <= _MOST_PATTERN, "a pattern is too long")
        try:
            re.compile(self.pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"bad pattern {self.pattern!r}") from error


@dataclass(frozen=True)
class Cve:
    """A hole in the container toolkit, and the version that closed it.

    `cdi_fixed`: the version from which use with CDI alone was not affected.
    """

    id: str
    fixed: str
    severity: str = ""
    summary: str = ""
    cdi_fixed: Optional[str] = None

    def __post_init__(self) -> None:
        _check(self.fixed, self.cdi_fixed)


@dataclass(frozen=True)
class KnownBuild:
    """What published builds of `what` for `cuda` have machine code and PTX for.

    `image`: the repository of the images they are in, for what cannot be told from
    someone's own build by its version.
    """

    what: str
    cuda: str
    native: Tuple[str, ...]
    ptx: Tuple[str, ...]
    first: Optional[str] = None
    last: Optional[str] = None
    native_arm64: Optional[Tuple[str, ...]] = None
    image: Optional[str] = None

    def __post_init__(self) -> None:
        _check(self.cuda, self.first, self.last)
        _check_capabilities(*self.native, *self.ptx, *(self.native_arm64 or ()))


@dataclass(frozen=True)
class ServerMinimum:
    """What a server itself asks of the GPU, and of the driver for older GPUs."""

    what: str
    capability: str
    driver: str
    old_capability: str
    old_driver: str

    def __post_init__(self) -> None:
        _check(self.driver, self.old_driver)
        _check_capabilities(self.capability, self.old_capability)


@dataclass(frozen=True)
class SmiExit:
    """An exit code of nvidia-smi and the driver fault it stands for."""

    code: int
    fault: str


@dataclass(frozen=True)
class Source:
    """Where a table is from, and when it was true."""

    table: str
    source: str
    as_of: str

    def __post_init__(self) -> None:
        require(self.source and _DATE.match(self.as_of), f"{self.table}: no source")


@dataclass(frozen=True)
class Tables:
    """All tables. `recommended_toolkit`: the container toolkit to have at least."""

    as_of: str
    toolkit_drivers: Tuple[ToolkitDriver, ...]
    branches: Tuple[Branch, ...]
    minor_version: Tuple[MinorVersion, ...]
    forward: Tuple[Forward, ...]
    forward_brands: Tuple[int, ...]
    brands: Tuple[Brand, ...]
    cuda_targets: Tuple[CudaTargets, ...]
    architectures: Tuple[Architecture, ...]
    gpus: Tuple[GpuModel, ...]
    toolkit_cves: Tuple[Cve, ...]
    recommended_toolkit: str
    builds: Tuple[KnownBuild, ...]
    servers: Tuple[ServerMinimum, ...]
    smi_exits: Tuple[SmiExit, ...]
    sources: Tuple[Source, ...]

    def __post_init__(self) -> None:
        require(_DATE.match(self.as_of), "bad date")
        _check(self.recommended_toolkit)
        cudas = [major_minor(branch.cuda) or (0, 0) for branch in self.branches]
        order = [branch.branch for branch in self.branches]
        require(order == sorted(set(order)), "branches out of order")
        require(cudas == sorted(cudas), "a newer branch has an older CUDA")

    def branch_of(self, number: Optional[int]) -> Optional[Branch]:
        """Return what is known of a driver branch."""
        return next((row for row in self.branches if row.branch == number), None)

    def minor_driver(self, major: int) -> Optional[str]:
        """Return the oldest driver for every CUDA of a major version."""
        rows = (row.driver for row in self.minor_version if row.major == major)
        return next(rows, None)

    def toolkit_driver(self, cuda: str) -> Optional[str]:
        """Return the driver that the first release of this CUDA version came with."""
        wanted = major_minor(cuda)
        found = (
            row.driver
            for row in self.toolkit_drivers
            if row.driver and major_minor(row.cuda) == wanted
        )
        return next(found, None)

    def targets_of(self, cuda: str) -> Optional[CudaTargets]:
        """Return what a CUDA version can build for."""
        wanted = major_minor(cuda)
        for row in self.cuda_targets:
            first, last = major_minor(row.first), major_minor(row.last)
            if first and last and wanted and first <= wanted <= last:
                return row
        return None

    def architecture_of(self, value: Optional[str]) -> Optional[Architecture]:
        """Return the generation of a compute capability."""
        rows = (row for row in self.architectures if value in row.capabilities)
        return next(rows, None)

    def gpu_model(self, name: Optional[str]) -> Optional[GpuModel]:
        """Return what is known of a GPU by its name."""
        for row in self.gpus:
            if re.search(rf"\b(?:{row.pattern})(?!\w)", name or "", re.IGNORECASE):
                return row
        return None

    def brand_of(self, text: Optional[str]) -> Optional[Brand]:
        """Return a brand, by NVML's name or as nvidia-smi prints it."""
        wanted = _letters(text or "")
        for row in self.brands:
            if wanted and wanted in (_letters(row.nvml), row.require):
                return row
        return None

    def forward_hosts(self, cuda: Optional[str]) -> Optional[Tuple[int, ...]]:
        """Return the branches the compat libraries of a CUDA version support."""
        wanted = major_minor(cuda)
        rows = (row.hosts for row in self.forward if major_minor(row.cuda) == wanted)
        return next(rows, None)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


def parse_tables(data: bytes, where: str = _FILE) -> Tables:
    """Return the tables of a file; raise ManifestError for anything else."""
    value = strictjson.load(data, where)
    if not isinstance(value, dict) or value.pop("type", None) != TABLES_TYPE:
        raise ManifestError(
            f"{where} is not a file of NVIDIA tables",
            hint="Name the file of tables that came with a newer Sealift.",
        )
    if value.pop("format", None) != TABLES_FORMAT:
        raise FormatVersionError(
            f"{where} is not of format {TABLES_FORMAT}",
            hint=_OTHER_VERSION,
        )
    return records.decode(Tables, _flat(value, where), where)


def _flat(value: Dict[str, Any], where: str) -> Dict[str, Any]:
    """Return the tables' rows by name, and their sources as one more table."""
    flat: Dict[str, Any] = {}
    sources: List[Dict[str, Any]] = []
    for name, table in value.items():
        if name == "as_of":
            flat[name] = table
            continue
        if not isinstance(table, dict):
            raise ManifestError(f"{where}.{name} is no table", hint=_OTHER_VERSION)
        rest = dict(table)
        flat[name] = rest.pop("rows", None)
        source = {key: rest.pop(key, None) for key in ("source", "as_of")}
        sources.append({"table": name, **source})
        for key, extra in rest.items():
            known = {"brands": "forward_brands", "recommended": "recommended_toolkit"}
            if key not in known:
                raise ManifestError(
                    f"{where}.{name} has an unknown field {key!r}",
                    hint=_OTHER_VERSION,
                )
            flat[known[key]] = extra
    return {**flat, "sources": sources}


@lru_cache(maxsize=None)
def default_tables() -> Tables:
    """Return the tables that came with this code."""
    return parse_tables(default_tables_data())


def default_tables_data() -> bytes:
    """Return the file of the tables that came with this code."""
    data = pkgutil.get_data(__package__, _FILE)
    if data is None:
        raise ManifestError(
            f"{_FILE} is missing beside the code",
            hint="Fetch the installer again; this copy of it is not whole.",
        )
    return data
