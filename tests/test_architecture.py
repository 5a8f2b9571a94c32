"""The shape of the code: who may import whom, and what the shared code may not do.

Read from the source, so that a rule holds on paths that no test runs. Each rule is
also shown a fault of its kind, so that none of them is blind.
"""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hosts
import pytest

ROOT = Path(__file__).resolve().parent.parent
MANIFESTS = ROOT / "manifests" / "sealift_manifests"
INSTALLER = ROOT / "installer" / "sealift_installer"
BUNDLER = ROOT / "bundler" / "sealift_bundler"
SIDES = {side.name: side for side in (MANIFESTS, INSTALLER, BUNDLER)}
OFFLINE = ("sealift_manifests", "sealift_installer")

MAY_IMPORT = {
    "sealift_manifests": {"sealift_manifests"},
    "sealift_installer": {"sealift_manifests", "sealift_installer"},
}
NEVER_IMPORTS = {"sealift_bundler": {"sealift_installer"}}

READS_FILES = MANIFESTS / "media.py"
"""The one shared module that opens files, and only to read them."""

OUTSIDE = {
    "asyncio",
    "ctypes.util",  # runs ldconfig and compilers
    "fileinput",
    "ftplib",
    "glob",
    "http",
    "multiprocessing",
    "pathlib",
    "pty",
    "shutil",
    "smtplib",
    "socket",
    "socketserver",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "urllib.request",
    "webbrowser",
    "zipapp",
}
"""Modules that reach files, networks or programs."""

HARMLESS_OS = {
    *("PathLike", "SEEK_CUR", "SEEK_END", "SEEK_SET", "cpu_count", "fsdecode"),
    *("fsencode", "fspath", "getpid", "path", "sched_getaffinity", "sep", "urandom"),
}
READING_OS = {
    *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_RDONLY", "close"),
    *("fstat", "listdir", "lstat", "open", "pread", "preadv", "read", "scandir"),
    *("lseek", "posix_fadvise", "stat", "stat_result", "DirEntry", "fsync", "strerror"),
    *("POSIX_FADV_DONTNEED", "POSIX_FADV_SEQUENTIAL", "POSIX_FADV_WILLNEED"),
}


def modules(side: Path) -> list[Path]:
    """Return the modules of a side, in order."""
    return sorted(side.rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of every import, wherever it stands.

    Relative imports are left out: Python itself keeps them within their package.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Call) and node.args:
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in ("import_module", "__import__"):
                what = node.args[0]
                if isinstance(what, ast.JoinedStr):
                    what = what.values[0]  # What it begins with says whose it is.
                known = isinstance(what, ast.Constant) and isinstance(what.value, str)
                yield node.lineno, str(what.value) if known else ast.unparse(what)


def forbidden_imports(package: str, source: str) -> list[str]:
    """Return the imports that a module of `package` must not have."""
    found = []
    for line, name in imports(ast.parse(source)):
        top = name.partition(".")[0]
        if package in MAY_IMPORT:
            allowed = top in MAY_IMPORT[package] or top in sys.stdlib_module_names
        else:
            allowed = top not in NEVER_IMPORTS[package]
        # compression.zstd is new in 3.14 and older lists do not know it.
        if not allowed and top != "compression":
            found.append(f"{line}: import {name}")
    return found


def reaches_outside(source: str, *, may_read: bool = False) -> list[str]:
    """Return where shared code opens a file, a socket or a process."""
    tree = ast.parse(source)
    found = []
    for line, name in imports(tree):
        if any(name == bad or name.startswith(bad + ".") for bad in OUTSIDE) or (
            # A name taken out of os is one that the rule below would not see.
            name.startswith("os.") and name != "os.path"
        ):
            found.append(f"{line}: import {name}")
    allowed_os = HARMLESS_OS | (READING_OS if may_read else set())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os":
            if node.attr not in allowed_os:
                found.append(f"{node.lineno}: os.{node.attr}")
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("eval", "exec", "io.FileIO"):
                found.append(f"{node.lineno}: {name}")
            elif name in ("open", "io.open") and not (may_read and only_reads(node)):
                found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def only_reads(call: ast.Call) -> bool:
    """Tell whether this call of open() is plainly for reading."""
    given = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    mode = call.args[1] if len(call.args) > 1 else given[0] if given else None
    if mode is None:
        return all(keyword.arg for keyword in call.keywords)
    return isinstance(mode, ast.Constant) and mode.value in ("r", "rb")


def modern_record_annotations(source: str) -> list[str]:
    """Return annotations of class fields that Python 3.8 could not evaluate."""
    found = []
    for kind in ast.walk(ast.parse(source)):
        if not isinstance(kind, ast.ClassDef):
            continue
        for field in kind.body:
            if isinstance(field, ast.AnnAssign) and _is_modern(field.annotation):
                found.append(f"{field.lineno}: {ast.unparse(field)}")
    return found


def _is_modern(annotation: ast.expr) -> bool:
    builtin = {"dict", "frozenset", "list", "set", "tuple", "type"}
    for node in ast.walk(annotation):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return True
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) in builtin:
            return True
    return False


def faults_in(side: Path, rule) -> list[str]:
    """Apply `rule` to the path and source of every module of a side."""
    return [
        f"{path.relative_to(ROOT)}:{fault}"
        for path in modules(side)
        for fault in rule(path, path.read_text("utf-8"))
    ]


@pytest.mark.parametrize("package", sorted(SIDES))
def test_a_side_imports_only_what_its_place_allows(package):
    def rule(_path, source):
        return forbidden_imports(package, source)

    assert modules(SIDES[package])
    assert faults_in(SIDES[package], rule) == []


def test_shared_code_is_handed_its_bytes():
    def rule(path, source):
        return reaches_outside(source, may_read=path == READS_FILES)

    assert faults_in(MANIFESTS, rule) == []


@pytest.mark.parametrize("package", OFFLINE)
def test_records_of_the_offline_side_can_be_read_by_python_3_8(package):
    def rule(_path, source):
        return modern_record_annotations(source)

    assert faults_in(SIDES[package], rule) == []


@pytest.mark.parametrize("package", sorted(SIDES))
def test_every_module_says_what_it_is_for(package):
    def rule(_path, source):
        return () if ast.get_docstring(ast.parse(source)) else ["1: no docstring"]

    assert faults_in(SIDES[package], rule) == []


@pytest.mark.parametrize("package", sorted(SIDES))
def test_nothing_is_too_long_to_be_read_at_once(package):
    sizes = load_check_sizes()

    assert faults_in(SIDES[package], lambda _path, text: sizes.too_long(text)) == []


@pytest.mark.parametrize("python", hosts.all_pythons(), ids=str)
def test_the_offline_side_is_whole_on_every_python(python):
    names = [
        ".".join(path.relative_to(side.parent).with_suffix("").parts)
        for side in (MANIFESTS, INSTALLER)
        for path in modules(side)
        if path.stem != "__main__"
    ]
    places = [str(side.parent) for side in (MANIFESTS, INSTALLER)]
    program = (
        "import dataclasses, importlib, sys, typing\n"
        f"sys.path[:0] = {places!r}\n"
        f"for name in {names!r}:\n"
        "    for value in list(vars(importlib.import_module(name)).values()):\n"
        "        if isinstance(value, type) and dataclasses.is_dataclass(value):\n"
        "            typing.get_type_hints(value)\n"
    )

    done = subprocess.run(
        # -I: not even this folder or the user's packages may help.
        [python.path, "-I", "-B", "-W", "error", "-c", program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )

    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("sealift_manifests", "import requests"),
        ("sealift_manifests", "from sealift_installer import plan"),
        ("sealift_installer", "from sealift_bundler.spec import Spec"),
        ("sealift_installer", "def f():\n    import zstandard"),
        ("sealift_installer", "importlib.import_module('cryptography')"),
        ("sealift_installer", "importlib.import_module(name)"),
        ("sealift_bundler", "import sealift_installer.plan"),
        ("sealift_bundler", "__import__('sealift_installer')"),
    ],
)
def test_a_forbidden_import_is_found(package, line):
    assert forbidden_imports(package, line)


def test_the_bundler_may_look_for_the_installers_files():
    assert not forbidden_imports(
        "sealift_bundler", "importlib.util.find_spec('sealift_installer')"
    )


@pytest.mark.parametrize("may_read", [False, True])
@pytest.mark.parametrize(
    "line",
    [
        "import socket",
        "from urllib import request",
        "from urllib.request import urlopen",
        "from ctypes.util import find_library",
        "from os import system",
        "from pathlib import Path",
        "os.replace(a, b)",
        "os.open(path, os.O_WRONLY)",
        "os.open(path, os.O_RDONLY | os.O_CREAT)",
        "open(path, 'wb')",
        "open(path, mode)",
        "open(path, **options)",
        "open(path, mode='r+b')",
        "exec(code)",
    ],
)
def test_a_way_out_of_the_shared_code_is_found(line, may_read):
    assert reaches_outside(line, may_read=may_read)


def test_only_the_module_for_media_may_open_files_to_read():
    reading = "with open(path, 'rb') as file: os.pread(file.fileno(), 1, 0)"

    assert reaches_outside(reading)
    assert not reaches_outside(reading, may_read=True)


@pytest.mark.parametrize(
    "annotation", ["int | None", "list[int]", "Optional[dict[str]]"]
)
def test_an_annotation_too_modern_for_3_8_is_found(annotation):
    assert modern_record_annotations(f"class Record:\n    field: {annotation}")


def test_long_functions_and_modules_are_found():
    too_long = load_check_sizes().too_long
    body = "    pass\n" * 40

    assert list(too_long(f"def f():\n{body}")) == ["1: f has 41 lines (at most 40)"]
    assert not list(too_long(f"def f():  # long: one table\n{body}"))
    assert list(too_long(f"def f():  # long:\n{body}"))
    assert list(too_long("x = 1\n" * 401))


def load_check_sizes():
    """Import scripts/check_sizes.py, which is a program and in no package."""
    spec = importlib.util.spec_from_file_location(
        "check_sizes", ROOT / "scripts" / "check_sizes.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
