"""Ask nvidia-smi where NVML cannot be loaded.

One unknown field makes a whole query fail, so a small core is asked first and each
further field alone; a field that this version does not know stays unknown.
"""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from typing import Any, Dict, List, Optional, Tuple
from xml.etree import ElementTree

from sealift_manifests.preflight.facts import Fault, Gpu, MigInstance

from sealift_installer.probe.answer import (
    MIB,
    Answer,
    bus_id,
    fault_of,
    gpu_fault_of,
    said,
)
from sealift_installer.probe.sources import Ran, Sources

CORE = ("index", "uuid", "name", "driver_version", "memory.total")
_NOT_VALID = "not a valid field"
_FLAGS = {"Enabled": True, "Disabled": False, "Yes": True, "No": False}
_MIG_LINE = re.compile(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (\S+)\)")
_GPU_LINE = re.compile(r"GPU (\d+):")


class _TimeoutError(Exception):
    """nvidia-smi hung; asking it again would only take as long again."""


def ask(sources: Sources) -> Optional[Answer]:
    """Return what nvidia-smi says; None where it is not there."""
    if sources.program("nvidia-smi") is None:
        return None
    try:
        return _ask(sources)
    except _TimeoutError:
        text = f"nvidia-smi did not answer within {sources.patience:.0f} seconds"
        return Answer(fault=Fault("probe-timeout", text))


def _ask(sources: Sources) -> Answer:
    fields, rows, ran = _core(sources)
    if not rows:
        # Its messages go to standard output, and its exit codes are not to be
        # relied upon: the words decide.
        text = ran.said if ran else ""
        fault = fault_of(text or "nvidia-smi said nothing")
        return Answer(gpus=() if fault.slug == "no-devices" else None, fault=fault)
    cells = [dict(zip(fields, row)) for row in rows]
    gpus = [_core_gpu(cell) for cell in cells]
    for field in _FIELDS:
        gpus = _with_field(sources, gpus, field)
    document = _document(sources)
    gpus = [_with_brand(gpu, document) for gpu in gpus]
    gpus = _with_instances(sources, gpus, document)
    return Answer(
        version=said(cells[0].get("driver_version")),
        cuda=_cuda(document),
        gpus=tuple(gpus),
    )


def _run(sources: Sources, *arguments: str) -> Ran:
    ran = sources.run("nvidia-smi", *arguments)
    if ran is None:
        return Ran(127, "", "")
    if ran.status is None:
        raise _TimeoutError
    return ran


def _core(sources: Sources) -> Tuple[Tuple[str, ...], List[List[str]], Optional[Ran]]:
    ran = _query(sources, *CORE)
    if _NOT_VALID in ran.said:
        fields = tuple(field for field in CORE if field != "driver_version")
        ran = _query(sources, *fields)
        return fields, _rows(ran, len(fields)), ran
    return CORE, _rows(ran, len(CORE)), ran


def _query(sources: Sources, *fields: str) -> Ran:
    asked = f"--query-gpu={','.join(fields)}"
    return _run(sources, asked, "--format=csv,noheader,nounits")


def _rows(ran: Ran, width: int) -> List[List[str]]:
    # 14: an info ROM is corrupted; the answer is there all the same.
    if ran.status not in (0, 14):
        return []
    rows = csv.reader(ran.out.splitlines(), skipinitialspace=True)
    return [row for row in rows if len(row) == width and row[0].strip().isdigit()]


def _core_gpu(cell: Dict[str, str]) -> Gpu:
    memory = _mib(cell["memory.total"])
    return Gpu(
        index=int(cell["index"]),
        uuid=said(cell["uuid"]),
        name=said(cell["name"]),
        memory_total=memory,
        unified_memory=_unified(cell["memory.total"], memory),
        fault=gpu_fault_of(",".join(cell.values())),
    )


def _unified(text: str, memory: Optional[int]) -> Optional[bool]:
    if memory is not None:
        return False
    return True if text.strip() in ("[N/A]", "[Not Supported]") else None


def _mib(text: Optional[str]) -> Optional[int]:
    stripped = (said(text) or "").partition(" ")[0]
    return int(stripped) * MIB if stripped.isdigit() else None


def _number(text: Optional[str]) -> Optional[int]:
    stripped = said(text) or ""
    return int(stripped) if stripped.isdigit() else None


def _flag(text: Optional[str]) -> Optional[bool]:
    return _FLAGS.get(said(text) or "")


# The field asked for, the fact it becomes, and how its text is read.
_FIELDS: Tuple[Tuple[str, str, Any], ...] = (
    ("pci.bus_id", "bus_id", bus_id),
    ("compute_cap", "compute_capability", said),
    ("memory.free", "memory_free", _mib),
    ("mig.mode.current", "mig", _flag),
    ("ecc.mode.current", "ecc", _flag),
    ("ecc.errors.uncorrected.volatile.total", "ecc_uncorrected", _number),
    ("remapped_rows.pending", "row_remap_pending", _flag),
    ("remapped_rows.failure", "row_remap_failed", _flag),
    ("persistence_mode", "persistence", _flag),
    ("compute_mode", "compute_mode", said),
    ("gpu_recovery_action", "recovery_action", said),
    ("fabric.state", "fabric_state", said),
    ("fabric.status", "fabric_status", said),
)


def _with_field(
    sources: Sources, gpus: List[Gpu], field: Tuple[str, str, Any]
) -> List[Gpu]:
    asked, fact, reading = field
    found: Dict[int, Dict[str, Any]] = {}
    for index, text in _rows(_query(sources, "index", asked), 2):
        found[int(index)] = {fact: reading(text)}
    return [replace(gpu, **found.get(gpu.index, {})) for gpu in gpus]


def _document(sources: Sources) -> Optional[ElementTree.Element]:
    ran = _run(sources, "-q", "-x")
    try:
        return ElementTree.fromstring(ran.out)
    except ElementTree.ParseError:
        return None


def _cuda(document: Optional[ElementTree.Element]) -> Optional[str]:
    if document is None:
        return None
    names = ("cuda_version", "cuda_umd_version")
    return next(filter(None, (said(document.findtext(name)) for name in names)), None)


def _entry(
    gpu: Gpu, document: Optional[ElementTree.Element]
) -> Optional[ElementTree.Element]:
    for entry in document.findall("gpu") if document is not None else ():
        if gpu.bus_id and bus_id(entry.get("id")) == gpu.bus_id:
            return entry
    return None


def _with_brand(gpu: Gpu, document: Optional[ElementTree.Element]) -> Gpu:
    entry = _entry(gpu, document)
    brand = said(entry.findtext("product_brand")) if entry is not None else None
    return gpu if brand in (None, "Unknown") else replace(gpu, brand=brand)


def _with_instances(
    sources: Sources, gpus: List[Gpu], document: Optional[ElementTree.Element]
) -> List[Gpu]:
    if not any(gpu.mig for gpu in gpus):
        return [replace(gpu, mig_instances=_none_if_unknown(gpu)) for gpu in gpus]
    listed: Dict[int, List[Tuple[str, str]]] = {}
    current = -1
    for line in _run(sources, "-L").out.splitlines():
        start, part = _GPU_LINE.match(line), _MIG_LINE.match(line)
        if start:
            current = int(start.group(1))
        elif part:
            listed.setdefault(current, []).append((part.group(1), part.group(2)))
    return [
        replace(gpu, mig_instances=_instances(listed.get(gpu.index, []), gpu, document))
        if gpu.mig
        else replace(gpu, mig_instances=_none_if_unknown(gpu))
        for gpu in gpus
    ]


def _none_if_unknown(gpu: Gpu) -> Optional[Tuple[MigInstance, ...]]:
    return () if gpu.mig is False else None


def _instances(
    parts: List[Tuple[str, str]], gpu: Gpu, document: Optional[ElementTree.Element]
) -> Tuple[MigInstance, ...]:
    entry = _entry(gpu, document)
    sizes = [
        _mib(part.findtext("fb_memory_usage/total"))
        for part in (entry.iter("mig_device") if entry is not None else ())
    ]
    if len(sizes) != len(parts):
        sizes = [None] * len(parts)
    return tuple(
        MigInstance(uuid, profile, size) for (profile, uuid), size in zip(parts, sizes)
    )
