"""A command starts soon: what it does not need is not imported."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sealift_installer.cli import COMMANDS, main

SLOW = ("docker", "huggingface_hub", "numpy", "requests", "sealift_bundler.spec")
PROGRAM = """
import sys
sys.argv[1:] = {words}
from {package}.cli import main
try:
    main()
finally:
    print("loaded:", *sys.modules)
"""


def loaded(package: str, *words: str) -> list[str]:
    program = PROGRAM.format(package=package, words=list(words))
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.splitlines()[-1].split()[1:]


def slow_imports(*words: str) -> list[str]:
    return sorted(set(loaded("sealift_bundler", *words)) & set(SLOW))


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


def test_the_installer_imports_the_command_that_is_named():
    found = loaded("sealift_installer", "verify", "--help")

    assert "sealift_installer.commands.verify" in found
    assert "sealift_installer.commands.install" not in found
    assert "sealift_manifests.preflight.check" not in found


@pytest.mark.parametrize("words", [["--help"], ["nonsense"]])
def test_the_installer_tells_all_commands_when_none_is_named(words, capsys):
    with pytest.raises(SystemExit):
        main(words)

    told = capsys.readouterr()
    assert all(command in told.out + told.err for command in COMMANDS)
