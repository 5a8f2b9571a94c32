"""Which Compose is taken and how it is called; and how a stack's state is judged.

The programs here are real scripts on a PATH; no engine is needed.
"""

from pathlib import Path

import pytest
from sealift_installer import compose as compose_module
from sealift_installer import health
from sealift_installer.compose import Compose, Project
from sealift_installer.engine import Engine, printable
from sealift_installer.health import _Watch
from sealift_installer.host import Host
from sealift_installer.install import require_compose
from sealift_installer.layout import Layout
from sealift_installer.report import Report
from sealift_installer.service_state import ServiceState
from sealift_manifests.errors import EngineError, PreflightError, StartError

ENGINE = Engine("/nowhere/engine.sock")


@pytest.fixture
def path(tmp_path, monkeypatch):
    """An empty PATH, and no plugin directory of the machine the tests run on."""
    monkeypatch.setattr(compose_module, "PLUGIN_DIRS", (str(tmp_path / "plugins"),))
    return tmp_path


def program(place: Path, name: str, version: str, *, status: int = 0) -> Path:
    """Write a program that says its version, and notes how it was called."""
    place.mkdir(parents=True, exist_ok=True)
    script = place / name
    script.write_text(
        "#!/bin/sh\n"
        f"printf '%s\\n' \"$@\" > {place}/called\n"
        f"/usr/bin/env > {place}/environment\n"
        f'case "$*" in *version*) echo "{version}";; '
        "*--help*) echo '      --pull string   Pull image';; *) exit "
        f"{status};; esac\n"
    )
    script.chmod(0o755)
    return script


def environ(*places: Path) -> dict[str, str]:
    return {"PATH": ":".join(map(str, places)), "HOME": "/nowhere"}


def test_a_later_client_with_the_plugin_is_taken_over_an_earlier_one_without(path):
    program(path / "first", "docker", "docker: 'compose' is not a docker command.")
    good = program(path / "second", "docker", "2.26.1")

    found = Compose.find(ENGINE, environ(path / "first", path / "second"))

    assert found.command == (str(good), "compose")
    assert found.version == (2, 26, 1)


def test_the_plugin_is_used_by_itself_where_there_is_no_client(path):
    plugin = program(path / "plugins", "docker-compose", "v5.5.0-desktop.1")

    found = Compose.find(ENGINE, environ(path))

    assert (found.command, found.version) == ((str(plugin),), (5, 5, 0))


def test_the_users_own_plugin_is_found(path):
    plugin = program(path / ".docker" / "cli-plugins", "docker-compose", "2.30.0")

    found = Compose.find(ENGINE, {"PATH": "", "HOME": str(path)})

    assert found.command == (str(plugin),)


def test_version_two_is_preferred_to_version_one_and_that_to_none(path):
    one = program(path / "one", "docker-compose", "1.29.2")
    assert Compose.find(ENGINE, environ(path / "one")).command == (str(one),)

    two = program(path / "two", "docker-compose", "2.40.3")
    found = Compose.find(ENGINE, environ(path / "one", path / "two"))
    assert found.command == (str(two),)


def test_without_a_usable_compose_the_packages_and_what_was_tried_are_named(path):
    program(path / "old", "docker-compose", "1.25.0")
    program(path / "broken", "docker-compose", "Traceback")

    with pytest.raises(StartError) as caught:
        Compose.find(ENGINE, environ(path / "old", path / "broken"))

    assert "docker-compose is 1.25.0" in caught.value.message
    assert "broken/docker-compose does not work" in caught.value.message
    assert "docker-compose-plugin" in caught.value.hint


def test_compose_sees_our_engine_and_nothing_of_the_callers_proxy_or_client(
    path, monkeypatch
):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    monkeypatch.setenv("COMPOSE_FILE", "other.yaml")
    program(path / "bin", "docker-compose", "2.26.1")

    Compose.find(ENGINE, environ(path / "bin")).stop(
        Project("chat", "/r/compose.yaml", "/r")
    )

    seen = (path / "bin" / "environment").read_text()
    assert "DOCKER_HOST=unix:///nowhere/engine.sock" in seen
    assert not any(w in seen for w in ("PROXY", "CONTEXT", "COMPOSE_FILE"))


def test_compose_is_given_the_project_by_name_file_and_directory(path):
    program(path / "bin", "docker-compose", "2.26.1")

    Compose.find(ENGINE, environ(path / "bin")).up(
        Project("chat", "/r/compose.yaml", "/r"), references=[]
    )

    assert (path / "bin" / "called").read_text().split() == [
        *("--ansi", "never"),
        *("--project-name", "chat"),
        *("--file", "/r/compose.yaml"),
        *("--project-directory", "/r"),
        *("up", "--detach", "--no-build", "--remove-orphans", "--pull", "never"),
    ]


def test_what_compose_said_is_in_the_error_without_its_control_characters(path):
    script = program(path / "bin", "docker-compose", "2.26.1", status=18)
    script.write_text(
        script.read_text().replace("exit 18", "printf 'no \\033[2Jvolume\\n'; exit 18")
    )

    with pytest.raises(StartError) as caught:
        Compose.find(ENGINE, environ(path / "bin")).down(
            Project("chat", "/r/compose.yaml", "/r")
        )

    assert r"no \x1b[2Jvolume" in caught.value.message
    assert "status 18" in caught.value.message


def test_foreign_text_cannot_move_the_cursor_or_turn_the_writing_direction():
    shown = printable("a\x1b[2J\r\n\x9b\u202eb\t\u00e9")

    assert shown == r"a\x1b[2J\r\n\x9b\u202eb " + "\u00e9"


@pytest.mark.parametrize("address", ["tcp://10.0.0.5:2375", "ssh://host", "run.sock"])
def test_an_engine_elsewhere_is_refused_with_the_reason(address):
    with pytest.raises(EngineError, match="not a Unix socket") as caught:
        Engine.connect(environ={"DOCKER_HOST": address})

    assert "mounted from this host" in caught.value.hint


def test_the_option_goes_before_docker_host_and_that_before_the_usual_places():
    environ = {"DOCKER_HOST": "unix:///run/user/1000/docker.sock"}

    assert Engine.connect("/o.sock", environ).socket_path == "/o.sock"
    assert Engine.connect(None, environ).socket_path == "/run/user/1000/docker.sock"
    assert Engine.connect(None, {}).socket_path.endswith(".sock")


def a_state(**changes) -> ServiceState:
    state = {
        "service": "vllm",
        "container": "chat-vllm-1",
        "status": "running",
        "health": None,
        "exit_code": 0,
        "restarts": 0,
        "restart_policy": "unless-stopped",
        "started": "2026-01-01T00:00:00Z",
        "out_of_memory": False,
        "health_output": "",
    }
    return ServiceState(**{**state, **changes})


class Clock:
    """Time that passes only when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_health_check_a_service_is_up_after_running_steadily():
    clock = Clock()
    watch = _Watch(clock)

    first = a_state()
    watch.see((first,))
    assert not watch.is_up(first)

    clock.now = 2.0
    again = a_state(started="2026-01-01T00:00:02Z", restarts=1)
    watch.see((again,))
    clock.now = 4.0
    assert not watch.is_up(again)

    clock.now = 5.0
    assert watch.is_up(again)


def test_a_service_that_is_known_to_say_when_it_is_ready_is_up_when_it_does():
    clock, ready = Clock(), [False]
    watch = _Watch(clock, lambda state: ready[0])

    watch.see((a_state(),))
    clock.now = 900.0
    assert not watch.is_up(a_state())

    ready[0] = True
    assert watch.is_up(a_state())


@pytest.mark.parametrize(
    ("changes", "up", "failed"),
    [
        ({"health": "healthy"}, True, False),
        ({"health": "starting"}, False, False),
        ({"health": "unhealthy"}, False, True),
        ({"status": "exited", "restart_policy": "no"}, True, False),
        ({"status": "exited", "restart_policy": "always"}, False, False),
        ({"status": "exited", "restart_policy": "no", "exit_code": 3}, False, True),
        ({"status": "restarting", "exit_code": 3}, False, False),
        ({"status": "created"}, False, False),
        ({"status": "dead", "restart_policy": "no", "exit_code": 1}, False, True),
    ],
)
def test_what_counts_as_up_and_what_as_failed(changes, up, failed):
    watch = _Watch(Clock())
    state = a_state(**changes)

    watch.see((state,))

    assert (watch.is_up(state), watch.is_failed(state)) == (up, failed)


def test_a_service_that_keeps_restarting_is_given_up():
    watch = _Watch(Clock())
    watch.see((a_state(restarts=4),))

    assert not watch.is_failed(a_state(status="restarting", restarts=13))
    assert watch.is_failed(a_state(status="restarting", restarts=14))


def test_a_service_of_several_containers_is_up_when_all_are(monkeypatch):
    healthy = a_state(health="healthy")
    second = {"container": "chat-vllm-2"}
    looks = [
        (healthy, a_state(**second, health="starting")),
        (healthy, a_state(**second, health="healthy")),
    ]
    waited: list[tuple[ServiceState, ...]] = []
    monkeypatch.setattr(health, "project_state", lambda *_: looks[len(waited)])

    up = health.wait_healthy(
        ENGINE, "chat", ["vllm"], 60, sleep=lambda _: None, progress=waited.append
    )

    assert waited == [(looks[0][1],)]
    assert up == looks[1]


def test_an_install_with_a_stack_tells_at_once_that_nothing_can_run_it(
    path, monkeypatch
):
    monkeypatch.setenv("PATH", str(path / "none"))
    monkeypatch.setenv("HOME", str(path))
    host = Host(Layout(str(path), str(path)), ENGINE, Report(as_json=True))

    with pytest.raises(PreflightError, match="no usable Docker Compose") as caught:
        require_compose(host)

    assert "docker-compose-plugin" in caught.value.hint
