"""Play both sides of the gap on this machine, with a small stack made on the spot.

Started by scripts/quickstart. Everything is done with the real commands; what is
made here is removed at the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DRIFT_FOUND = 50
BOLD, GREEN, DIM, PLAIN = ("\x1b[1m", "\x1b[32m", "\x1b[2m", "\x1b[0m")
if not sys.stdout.isatty():
    BOLD = GREEN = DIM = PLAIN = ""


class DemoError(Exception):
    """A step did not do what it is there to show."""


class Demo:
    """The scratch directory, the names, and the steps taken so far."""

    def __init__(self, work: Path, *, weights_only: bool) -> None:
        self.work = work
        self.weights_only = weights_only
        self.name = f"demo-{os.getpid()}"
        self.port = free_port()
        self.bundle = work / "usb" / f"{self.name}-0.1.0"
        self.steps: list[tuple[str, float]] = []
        self.installed = False

    @contextmanager
    def step(self, title: str):
        """Announce a step and take its time."""
        print(f"\n{BOLD}{len(self.steps) + 1}. {title}{PLAIN}", flush=True)
        start = time.monotonic()
        yield
        self.steps.append((title, time.monotonic() - start))

    def sealift(self, *arguments: object) -> None:
        """Run a command of the connected side."""
        program = Path(sys.executable).with_name("sealift")
        self._run([str(program), *map(str, arguments)], f"sealift {words(arguments)}")

    def installer(self, *arguments: object, expect: int = 0) -> None:
        """Run a command of the offline side: no network, standard library only."""
        command = [
            *no_network(),
            system_python(),
            *("-I", "-B", str(self.bundle / "sealift-installer.pyz")),
            *map(str, arguments),
            *("--state-dir", str(self.work / "host/state")),
            *("--config-dir", str(self.work / "host/etc")),
        ]
        shown = f"python3 -I -B sealift-installer.pyz {words(arguments)}"
        self._run(command, shown, expect=expect)

    def _run(self, command: list[str], shown: str, *, expect: int = 0) -> None:
        print(f"{DIM}$ {shown.replace(str(self.work), '...')}{PLAIN}", flush=True)
        result = subprocess.run(
            command, cwd=self.work, stdin=subprocess.DEVNULL, check=False
        )
        if result.returncode != expect:
            raise DemoError(
                f"`{shown}` ended with exit code {result.returncode}, not {expect}"
            )


def main() -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights-only", action="store_true", help="without images")
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="sealift-quickstart-"))
    demo = Demo(work, weights_only=args.weights_only)
    start = time.monotonic()
    try:
        connected_side(demo)
        offline_side(demo)
        tampering(demo)
    except DemoError as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    finally:
        clean_up(demo)
    summary(demo, time.monotonic() - start)
    return 0


def connected_side(demo: Demo) -> None:
    """Make an example stack, and a signed bundle of it."""
    with demo.step("Connected side: an example stack and a signing key"):
        extra = ["--weights-only"] if demo.weights_only else []
        demo.sealift("init", "example", "--name", demo.name, *extra)
        compose = demo.work / "example/compose.yaml"
        if compose.exists():
            text = compose.read_text(encoding="utf-8")
            compose.write_text(text.replace("18080", str(demo.port)), encoding="utf-8")
        demo.sealift("keygen", "release.key", "--no-passphrase")
    with demo.step("Connected side: build, sign and read back the bundle"):
        demo.sealift(
            *("build", "example/sealift.yaml", "--sign-key", "release.key"),
            *("-o", "usb", "--cache", "cache"),
        )
        forget_built_image(demo)


def offline_side(demo: Demo) -> None:
    """Verify with host tools and with our own, install, start, look."""
    with demo.step("Offline side: verify with the host's own tools, none of our code"):
        verify_with_host_tools(demo)
    with demo.step("Offline side: install; trust comes from a key that came apart"):
        demo.installer("verify", "usb", "--key", "release.key.pub")
        demo.installed = True
        demo.installer("install", "usb", "--key", "release.key.pub")
    if demo.weights_only:
        with demo.step("Offline side: audit"):
            demo.installer("audit")
        return
    with demo.step("Offline side: audit, then start and wait for health"):
        demo.installer("start")
        for path in ("health", "models/config.json"):
            url = f"http://127.0.0.1:{demo.port}/{path}"
            with urllib.request.urlopen(url, timeout=10) as answer:
                size = len(answer.read())
            print(f"  GET {url}: {answer.status}, {size} bytes")
    with demo.step("Offline side: full audit, image layers included"):
        demo.installer("audit")


def tampering(demo: Demo) -> None:
    """Change one byte of an installed weight file; the audit must find it."""
    with demo.step("Somebody changes one byte of the installed weights"):
        weights = next((demo.work / "host/state/volumes").rglob("*.safetensors"))
        with weights.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)[0]
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last ^ 1]))
        print(f"  flipped one bit of {weights.name}")
        demo.installer("audit", expect=DRIFT_FOUND)
        print(f"  {GREEN}the audit found it and names the file{PLAIN}")
        demo.installer("install", "usb", "--repair")
        demo.installer("audit")


def verify_with_host_tools(demo: Demo) -> None:
    """Run the commands of INSTALL.md that an auditor would type."""
    key = (demo.work / "release.key.pub").read_text(encoding="utf-8")
    signers = demo.work / "allowed_signers"
    signers.write_text(
        f'release namespaces="sealift-bundle@v1" {key}', encoding="utf-8"
    )
    if shutil.which("ssh-keygen"):
        with (demo.bundle / "SHA256SUMS").open("rb") as sums:
            result = subprocess.run(
                [
                    *("ssh-keygen", "-Y", "verify", "-f", str(signers)),
                    *("-I", "release", "-n", "sealift-bundle@v1"),
                    *("-s", str(demo.bundle / "SHA256SUMS.release.sig")),
                ],
                stdin=sums,
                check=False,
            )
        if result.returncode:
            raise DemoError("ssh-keygen does not accept the signature")
    else:
        print("  (no ssh-keygen here: the signature is checked by our own code only)")
    result = subprocess.run(
        ["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=demo.bundle, check=False
    )
    if result.returncode:
        raise DemoError("sha256sum does not accept the bundle")


def forget_built_image(demo: Demo) -> None:
    """Take the built image out of the engine: the install has to bring it."""
    if not demo.weights_only:
        subprocess.run(
            ["docker", "rmi", f"{demo.name}-web:0.1.0"],
            stdout=subprocess.DEVNULL,
            check=False,
        )


def clean_up(demo: Demo) -> None:
    """Remove everything that the demo made."""
    print(f"\n{BOLD}Cleaning up{PLAIN}", flush=True)
    try:
        if demo.installed:
            demo.installer("uninstall", demo.name, "--yes")
    except DemoError as error:
        print(f"  {error}", file=sys.stderr)
    shutil.rmtree(demo.work, ignore_errors=True)


def summary(demo: Demo, seconds: float) -> None:
    """Say what was shown."""
    print(f"\n{BOLD}Both sides of the gap, {seconds:.1f} s{PLAIN}")
    for title, taken in demo.steps:
        print(f"  {GREEN}ok{PLAIN} {taken:5.1f} s  {title}")
    if demo.weights_only:
        print("  Only weights were carried: no engine was available here.")
    print(
        "\nNext: `sealift init DIR` writes the same example for you to change; the "
        "README tells the rest.\nThe command is "
        f"{Path(sys.executable).with_name('sealift')}"
    )


def system_python() -> str:
    """Return a Python that is not ours: the installer needs nothing of ours."""
    for candidate in ("/usr/bin/python3", sys._base_executable):
        if Path(candidate).exists():
            return candidate
    return sys.executable


def no_network() -> list[str]:
    """Return what takes the network away from a command, where that is possible."""
    unshare = shutil.which("unshare")
    if os.geteuid() == 0 and unshare:
        probe = subprocess.run([unshare, "--net", "true"], check=False)
        if probe.returncode == 0:
            return [unshare, "--net"]
    return []


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def words(arguments: tuple[object, ...]) -> str:
    """Return arguments as one would type them."""
    return " ".join(map(str, arguments))


if __name__ == "__main__":
    sys.exit(main())
