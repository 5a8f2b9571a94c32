"""Small honest specs, keys and bundles, and the real commands to run on them.

`sealift` and `Host.run` start the product as its users do, in a process of their own.
Everything made is deterministic, but for keys and for names from `engines.unique`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hosts import Engine, NoNetwork
from sealift_bundler.keygen import generate_key
from sealift_bundler.signing import sign_sums, signer_from_key_file
from sealift_manifests.digests import digest_of
from sealift_manifests.sums import SUMS_NAME, format_sums

SEALIFT = Path(sys.executable).with_name("sealift")
NO_ENGINE = "/nonexistent/engine.sock"
PYZ = "sealift-installer.pyz"
PATIENCE = 120
"""Seconds after which a command counts as hanging."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything it said."""
        return self.out + self.err

    @property
    def facts(self) -> Any:
        """What it printed with --json."""
        return json.loads(self.out)

    def expect(self, code: int, *words: str) -> Outcome:
        """Fail unless it ended with this code and said all these words."""
        assert self.code == code, f"exit code {self.code}, not {code}:\n{self.said}"
        for word in words:
            assert word in self.said, f"{word!r} is not in:\n{self.said}"
        return self


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    cwd: Path | None = None,
) -> Outcome:
    """Run a command to its end, without a terminal."""
    done = subprocess.run(
        [str(word) for word in argv],
        env={**os.environ, **(env or {})},
        input=stdin,
        cwd=cwd,
        capture_output=True,
        timeout=PATIENCE,
        start_new_session=True,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def sealift(
    *args: str | Path, env: Mapping[str, str] | None = None, stdin: bytes = b""
) -> Outcome:
    """Run `sealift` with these arguments."""
    return run([SEALIFT, *args], env=env, stdin=stdin)


@dataclass(frozen=True)
class Key:
    """A signing key: its private file, its .pub file, its fingerprint."""

    private: Path
    public: Path
    fingerprint: str


def a_key(path: Path, *, passphrase: bytes | None = None) -> Key:
    """Make an Ed25519 key."""
    made = generate_key(path, comment=path.name, passphrase=passphrase)
    return Key(made.private, made.public, made.fingerprint)


def noise(seed: str, size: int) -> bytes:
    """Return bytes that do not compress, the same for the same seed."""
    return hashlib.shake_128(seed.encode()).digest(size)


def safetensors(tensors: Mapping[str, bytes]) -> bytes:
    """Return a valid safetensors file of these BF16 tensors."""
    header, at = {}, 0
    for name, data in tensors.items():
        end = at + len(data)
        entry = {"dtype": "BF16", "shape": [len(data) // 2], "data_offsets": [at, end]}
        header[name], at = entry, end
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(tensors.values())


def model_files(seed: str = "a", *, size: int = 20_000) -> dict[str, bytes]:
    """Return the files of a model with about `size` bytes of weights."""
    half = size // 4 * 2
    tensors = {name: noise(f"{seed} {name}", half) for name in ("embed", "head")}
    config = json.dumps({"model_type": "llama", "hidden_size": 64, "seed": seed})
    return {"config.json": config.encode(), "model.safetensors": safetensors(tensors)}


def write_files(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write files below a folder, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def a_spec(folder: Path, name: str, **fields: Any) -> Path:
    """Write a spec; `fields` are its keys. JSON is YAML, so it is JSON."""
    spec = {"sealift": 1, "name": name, "version": "1.0.0", **fields}
    write_files(folder, {"sealift.yaml": json.dumps(spec, indent=1)})
    return folder / "sealift.yaml"


def weights_spec(
    folder: Path, name: str, files: Mapping[str, bytes] | None = None, **fields: Any
) -> Path:
    """Write a spec that carries one local model named `tiny`, and its files."""
    write_files(folder / "model", files if files is not None else model_files())
    return a_spec(folder, name, models={"tiny": {"path": "model"}}, **fields)


def build(
    spec: Path,
    key: Key,
    output: Path,
    *options: str | Path,
    env: Mapping[str, str] | None = None,
) -> Path:
    """Build a bundle with the real command; return its path."""
    cache = spec.parent / "cache"
    words = ["build", spec, "-q", "--sign-key", key.private, "-o", output]
    outcome = sealift(*words, "--cache", cache, *options, env=env).expect(0)
    lines = [line.split() for line in outcome.out.splitlines()]
    (path,) = [words[1] for words in lines if words[:1] == ["bundle"]]
    return Path(path)


def copied(bundle: Path, folder: Path) -> Path:
    """Copy a bundle into a new folder, as onto a medium."""
    return Path(shutil.copytree(bundle, folder / bundle.name))


def resign(bundle: Path, key: Key) -> None:
    """Write SHA256SUMS and its signature anew for the files that are there."""
    for old in bundle.glob(f"{SUMS_NAME}*"):
        old.unlink()
    files = sorted(path for path in bundle.iterdir() if path.is_file())
    sums = format_sums({path.name: digest_of(path.read_bytes()) for path in files})
    signer = signer_from_key_file(key.private, lambda path: b"")
    write_files(bundle, {SUMS_NAME: sums, **sign_sums(sums, [signer])})


def flip(path: Path, at: int | None = None) -> None:
    """Flip one bit of a file, in the middle by default; its times stay as they were."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    mode = stat.S_IMODE(before.st_mode)
    path.chmod(mode | stat.S_IWUSR)
    path.write_bytes(data)
    path.chmod(mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@dataclass(frozen=True)
class Host:
    """An offline host: its own directories, and the installer it runs.

    `engine` is the socket that --engine names; by default that of this machine.
    With `network`, everything runs where there is none.
    """

    root: Path
    pyz: Path
    engine: str | None = None
    python: Path = Path(sys.executable)
    network: NoNetwork | None = None

    @property
    def state(self) -> Path:
        """Its state directory."""
        return self.root / "state"

    @property
    def config(self) -> Path:
        """Its config directory."""
        return self.root / "config"

    def run(self, command: str, *args: str | Path) -> Outcome:
        """Run the installer as the guide says, on this host's directories."""
        places = ["--state-dir", self.state, "--config-dir", self.config]
        if self.engine is not None:
            places += ["--engine", self.engine]
        argv = [self.python, "-I", "-B", self.pyz, command, *args, *places]
        return run(self.network.wrap(argv) if self.network else argv)

    def but(self, **changes: Any) -> Host:
        """Return the same host, seen in another way."""
        return replace(self, **changes)

    def listing(self) -> dict[str, str]:
        """Return what lies on the host; see `listing`."""
        return listing(self.root)

    def ledger(self) -> list[dict[str, Any]]:
        """Return the lines of the ledger."""
        lines = (self.state / "ledger.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


def listing(root: Path) -> dict[str, str]:
    """Return kind, mode and content of everything below `root`, by path."""
    return {
        str(path.relative_to(root)): _described(path) for path in sorted(_walk(root))
    }


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        yield from (Path(folder, name) for name in (*folders, *names))


def _described(path: Path) -> str:
    status = path.lstat()
    mode = stat.filemode(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return f"{mode} -> {path.readlink()}"
    return mode if path.is_dir() else f"{mode} {digest_of(path.read_bytes())}"


def in_engine(engine: Engine, name: str) -> dict[str, list[str]]:
    """Return the images, volumes and containers whose names contain `name`."""
    asked = {
        "images": ["images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"],
        "volumes": ["volume", "ls", "--format", "{{.Name}}"],
        "containers": ["ps", "--all", "--format", "{{.Names}} {{.Image}}"],
    }
    return {
        kind: sorted(x for x in engine.text(*args).splitlines() if name in x)
        for kind, args in asked.items()
    }


def clear_engine(engine: Engine, name: str) -> None:
    """Remove all containers, volumes, networks and images whose names contain `name`.

    Other tests use the same engine: `name` must be a unique one.
    """
    ids = engine.text("ps", "-aq", "--filter", f"name={name}").split()
    if ids:
        engine.run("rm", "-f", *ids, check=False)
    found = in_engine(engine, name)
    for volume in found["volumes"]:
        engine.run("volume", "rm", volume, check=False)
    networks = engine.text("network", "ls", "-q", "--filter", f"name={name}").split()
    if networks:
        engine.run("network", "rm", *networks, check=False)
    for image in found["images"]:
        engine.run("rmi", "-f", image.split()[0], check=False)


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """Mount a file system of `size` (such as `12m`) at `place`, for root only."""
    place.mkdir(parents=True, exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={size}"]
    subprocess.run(["mount", *options, "sealift-test", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@contextmanager
def read_only(place: Path) -> Iterator[Path]:
    """Mount a folder over itself, read-only, for root only."""
    subprocess.run(["mount", "--bind", str(place), str(place)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def changed_json(path: Path, change: Callable[[Any], None]) -> None:
    """Load a JSON file, let `change` work on its value, and write it back."""
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value, sort_keys=True, indent=1) + "\n")
