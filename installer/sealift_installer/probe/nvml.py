"""Ask NVML by ctypes, as a program of its own: it can hang or crash on a sick GPU.

Imports nothing of ours, so it starts fast. Prints one JSON object; a value that
NVML does not give is null. `nvml_answer` starts it and reads what it printed.
"""

from __future__ import annotations

import json
import sys
from ctypes import (
    CDLL,
    Structure,
    byref,
    c_char,
    c_char_p,
    c_int,
    c_longlong,
    c_ubyte,
    c_uint,
    c_ulonglong,
    c_void_p,
    create_string_buffer,
)
from typing import Any, Dict, List, Optional, Tuple

OK, NOT_SUPPORTED, GPU_IS_LOST, RESET_REQUIRED = 0, 3, 15, 16
_RECOVERY_ACTION_FIELD = 230
_UNCORRECTED, _VOLATILE = 1, 0
_COMPLETED = 3
_TEXT = 256


class _Memory(Structure):
    _fields_ = [("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong)]


class _Pci(Structure):
    _fields_ = [
        ("legacy", c_char * 16),
        ("numbers", c_uint * 5),
        ("bus_id", c_char * 32),
    ]


class _Fabric(Structure):
    _fields_ = [
        ("cluster", c_ubyte * 16),
        ("status", c_uint),
        ("clique", c_uint),
        ("state", c_ubyte),
    ]


class _FieldValue(Structure):
    _fields_ = [
        ("field", c_uint),
        ("scope", c_uint),
        ("timestamp", c_longlong),
        ("latency", c_longlong),
        ("type", c_uint),
        ("result", c_uint),
        ("value", c_ulonglong),
    ]


class Library:
    """NVML, loaded. A function that a version lacks answers like one that failed."""

    def __init__(self, name: str) -> None:
        self._library = CDLL(name)
        self._library.nvmlErrorString.restype = c_char_p

    def call(self, name: str, *arguments: Any) -> Optional[int]:
        """Call a function and return its result code, None where it is missing."""
        function = getattr(self._library, name, None)
        return None if function is None else int(function(*arguments))

    def words(self, code: int) -> str:
        """Return NVML's own words for a result code."""
        return _decoded(self._library.nvmlErrorString(code) or b"")

    def text(self, name: str, *before: Any) -> Optional[str]:
        """Call a function that fills in a text."""
        buffer = create_string_buffer(_TEXT)
        if self.call(name, *before, buffer, c_uint(_TEXT)) != OK:
            return None
        return _decoded(buffer.value)

    def numbers(self, name: str, handle: Any, count: int) -> Optional[List[int]]:
        """Call a function that fills in `count` numbers."""
        found = [c_uint() for _ in range(count)]
        if self.call(name, handle, *map(byref, found)) != OK:
            return None
        return [each.value for each in found]

    def number(self, name: str, handle: Any) -> Optional[int]:
        """Call a function that fills in one number."""
        found = self.numbers(name, handle, 1)
        return found[0] if found else None


def ask(name: str) -> Dict[str, Any]:
    """Return all that NVML says; `unloadable` where there is no such library."""
    try:
        library = Library(name)
    except (OSError, AttributeError) as error:
        return {"unloadable": str(error)}
    found: Dict[str, Any] = {"user_space": library.text("nvmlSystemGetNVMLVersion")}
    code = library.call("nvmlInit_v2")
    if code != OK:
        return {**found, **_failed(library, code)}
    cuda = c_int()
    if library.call("nvmlSystemGetCudaDriverVersion_v2", byref(cuda)) == OK:
        found["cuda"] = cuda.value
    found["version"] = library.text("nvmlSystemGetDriverVersion")
    count = c_uint()
    code = library.call("nvmlDeviceGetCount_v2", byref(count))
    if code != OK:
        return {**found, **_failed(library, code)}
    found["gpus"] = [_gpu(library, index) for index in range(count.value)]
    return found


def _failed(library: Library, code: Optional[int]) -> Dict[str, Any]:
    words = "NVML lacks a function" if code is None else library.words(code)
    return {"code": code, "words": words}


def _gpu(library: Library, index: int) -> Dict[str, Any]:
    handle = c_void_p()
    code = library.call("nvmlDeviceGetHandleByIndex_v2", c_uint(index), byref(handle))
    if code != OK:
        return {"index": index, **_failed(library, code)}
    found: Dict[str, Any] = {
        "index": index,
        "name": library.text("nvmlDeviceGetName", handle),
        "uuid": library.text("nvmlDeviceGetUUID", handle),
        "brand": library.number("nvmlDeviceGetBrand", handle),
        "capability": library.numbers("nvmlDeviceGetCudaComputeCapability", handle, 2),
        "mig": library.numbers("nvmlDeviceGetMigMode", handle, 2),
        "ecc": library.numbers("nvmlDeviceGetEccMode", handle, 2),
        "rows": library.numbers("nvmlDeviceGetRemappedRows", handle, 4),
        "persistence": library.number("nvmlDeviceGetPersistenceMode", handle),
        "compute_mode": library.number("nvmlDeviceGetComputeMode", handle),
        "recovery": _recovery(library, handle),
        "uncorrected": _uncorrected(library, handle),
        "bus_id": _bus_id(library, handle),
    }
    found.update(_memory(library, handle))
    found.update(_fabric(library, handle))
    if found["mig"] and found["mig"][0]:
        found["instances"] = _instances(library, handle)
    return found


def _memory(library: Library, handle: Any) -> Dict[str, Any]:
    memory = _Memory()
    code = library.call("nvmlDeviceGetMemoryInfo", handle, byref(memory))
    if code == OK:
        return {"memory": [memory.total, memory.free], "unified": False}
    if code in (GPU_IS_LOST, RESET_REQUIRED):
        return _failed(library, code)
    return {"unified": True if code == NOT_SUPPORTED else None}


def _fabric(library: Library, handle: Any) -> Dict[str, Any]:
    fabric = _Fabric()
    if library.call("nvmlDeviceGetGpuFabricInfo", handle, byref(fabric)) != OK:
        return {}
    return {
        "fabric_state": fabric.state,
        "fabric_status": library.words(fabric.status)
        if fabric.state == _COMPLETED
        else None,
    }


def _bus_id(library: Library, handle: Any) -> Optional[str]:
    pci = _Pci()
    if library.call("nvmlDeviceGetPciInfo_v3", handle, byref(pci)) != OK:
        return None
    return _decoded(pci.bus_id)


def _recovery(library: Library, handle: Any) -> Optional[int]:
    value = _FieldValue(field=_RECOVERY_ACTION_FIELD)
    code = library.call("nvmlDeviceGetFieldValues", handle, c_int(1), byref(value))
    # An unsigned int lies in the low half of the value, wherever this driver runs.
    return value.value & 0xFFFFFFFF if code == OK and value.result == OK else None


def _uncorrected(library: Library, handle: Any) -> Optional[int]:
    count = c_ulonglong()
    code = library.call(
        "nvmlDeviceGetTotalEccErrors",
        handle,
        c_uint(_UNCORRECTED),
        c_uint(_VOLATILE),
        byref(count),
    )
    return count.value if code == OK else None


def _instances(library: Library, handle: Any) -> Optional[List[Dict[str, Any]]]:
    most = library.number("nvmlDeviceGetMaxMigDeviceCount", handle)
    if most is None:
        return None
    found = []
    for index in range(most):
        part = c_void_p()
        call = "nvmlDeviceGetMigDeviceHandleByIndex"
        if library.call(call, handle, c_uint(index), byref(part)) != OK:
            continue
        memory = _Memory()
        code = library.call("nvmlDeviceGetMemoryInfo", part, byref(memory))
        found.append(
            {
                "uuid": library.text("nvmlDeviceGetUUID", part),
                "name": library.text("nvmlDeviceGetName", part),
                "memory": memory.total if code == OK else None,
            }
        )
    return found


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def main(arguments: Tuple[str, ...] = tuple(sys.argv[1:])) -> None:
    """Print what the library named says."""
    print(json.dumps(ask(arguments[0])))
