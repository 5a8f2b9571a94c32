"""A command starts soon: what it does not need is not imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = ("docker", "huggingface_hub", "numpy", "requests", "sealift_bundler.spec")
LOADED = (
    "import sys\n"
    "from sealift_bundler.cli import main\n"
    "try:\n"
    "    main()\n"
    "finally:\n"
    "    print('loaded:', *sorted(set(sys.argv[0].split()) & set(sys.modules)))\n"
)


def slow_imports(*words: str) -> list[str]:
    program = f"import sys; sys.argv = [{' '.join(SLOW)!r}, *{list(words)!r}]\n{LOADED}"
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["inspect", "--help"],
        ["verify", "--help"],
        ["diff", "--help"],
        ["keygen", "--help"],
        ["installer", "--help"],
    ],
)
def test_commands_that_look_at_a_bundle_import_no_large_library(words):
    assert slow_imports(*words) == []


def test_a_build_imports_no_client_of_the_hub_or_an_engine_before_it_needs_one():
    found = slow_imports("build", "--help")

    assert "sealift_bundler.spec" in found
    assert not {"docker", "huggingface_hub"} & set(found)
