"""Replay a recorded host: its tree, its programs, its NVML, its engine on a socket."""

from __future__ import annotations

import json
import shutil
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from sealift_installer.engine import Engine
from sealift_installer.probe.sources import Sources
from sealift_manifests.preflight.facts import HostFacts
from sealift_manifests.preflight.survey import parse_survey

HERE = Path(__file__).parent
RECORDINGS = HERE / "recordings"
NAMES = tuple(sorted(place.parent.name for place in RECORDINGS.glob("*/facts.json")))


def recorded_facts(name: str) -> HostFacts:
    """Return what is known of a recorded host."""
    return parse_survey((RECORDINGS / name / "facts.json").read_bytes())


def build_nvml(folder: Path) -> Path:
    """Compile the stand-in for libnvidia-ml.so.1."""
    library = folder / "libnvidia-ml.so.1"
    source = HERE / "fakenvml.c"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]
    subprocess.run(command, check=True)
    return library


def lay_out(name: str, folder: Path, library: Path) -> Sources:
    """Put a recorded host into `folder` and return it, ready to be read."""
    for place in ("base", name):
        shutil.copytree(RECORDINGS / place, folder, symlinks=True, dirs_exist_ok=True)
    facts = recorded_facts(name)
    # Files cannot be given a ctime: the engine is said to have been started before
    # or after they were laid out.
    late = facts.toolkit.changed_after_engine is not True
    boot = int(time.time()) + (3600 if late else -3600)
    (folder / "root/proc/stat").write_text(f"cpu 0 0 0\nbtime {boot}\n")
    nvml = None
    if (folder / "nvml.txt").exists():
        shutil.copy(library, folder / library.name)
        nvml = str(folder / library.name)
    return Sources(
        root=str(folder / "root"),
        path=str(folder / "bin"),
        nvml=nvml,
        patience=20.0,
        arch=facts.machine.arch,
    )


def without_nvml(sources: Sources) -> Sources:
    """Return the host as it is where NVML cannot be loaded."""
    return replace(sources, nvml=None)


def without_tools(sources: Sources) -> Sources:
    """Return the host as it is where there is neither NVML nor nvidia-smi."""
    Path(sources.path, "nvidia-smi").unlink(missing_ok=True)
    return replace(sources, nvml=None)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    answers: dict[str, object]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        last = self.path.rpartition("/")[2]
        known = last in self.server.answers
        data = json.dumps(self.server.answers.get(last)).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def address_string(self) -> str:
        return "a client"

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def running_engine(folder: Path) -> Iterator[Engine]:
    """Run a server on a Unix socket that answers as the recorded engine did."""
    socket = folder / "engine.sock"
    server = _Server(str(socket), _Handler)
    server.answers = {
        part: json.loads((folder / f"engine-{part}.json").read_text())
        for part in ("version", "info")
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Engine(str(socket))
    finally:
        server.shutdown()
        server.server_close()
