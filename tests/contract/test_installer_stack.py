"""The stack on a real engine: started by a real Compose, watched, taken down."""

import json
import socket
from pathlib import Path

import pytest
from engines import SHELL, an_image, busybox_layer, loader, unique
from sealift_installer.compose import Compose, Project
from sealift_installer.health import wait_healthy
from sealift_installer.service_state import project_state
from sealift_manifests.errors import ImageLoadError, StartError

pytestmark = pytest.mark.docker


@pytest.fixture
def stack(host, tmp_path):
    """Write a stack of one image; it is taken down at the end of the test."""
    engine, _ = host
    image = loader(*host)(an_image(busybox_layer()))
    project = Project(unique(), str(tmp_path / "compose.yaml"), str(tmp_path))

    def _stack(**services: dict) -> Project:
        for service in services.values():
            service.setdefault("image", image.entry.reference)
            service["network_mode"] = "none"
            service["stop_grace_period"] = "0s"
        text = json.dumps({"version": "3.8", "services": services})
        Path(project.file).write_text(text)
        return project

    yield image.entry.reference, _stack
    Compose.find(engine).down(project)


def a_service(script: str, **more) -> dict:
    return {"command": [SHELL, "sh", "-c", script], **more}


def a_check(script: str) -> dict:
    test = ["CMD", SHELL, "sh", "-c", script]
    return {"test": test, "interval": "1s", "retries": 2, "timeout": "5s"}


def test_a_stack_comes_up_is_watched_and_goes_down(host, stack):
    engine, _ = host
    reference, write = stack
    serve = f"echo up > /up; exec {SHELL} sleep 600"
    project = write(
        server=a_service(serve, healthcheck=a_check(f"{SHELL} cat /up")),
        plain=a_service(f"exec {SHELL} sleep 600"),
        once=a_service("exit 0"),
    )
    compose, seen = Compose.find(engine), []

    compose.up(project, [reference])
    states = wait_healthy(
        engine, project.name, ["server", "plain", "once"], 30, progress=seen.append
    )

    assert [(s.service, str(s)) for s in states] == [
        ("once", "exited with status 0"),
        ("plain", "running"),
        ("server", "healthy"),
    ]
    assert "plain" in {state.service for state in seen[0]}
    assert states == project_state(engine, project.name)

    compose.stop(project)
    assert {s.status for s in project_state(engine, project.name)} == {"exited"}

    compose.down(project)
    assert project_state(engine, project.name) == ()


def test_a_stack_whose_image_is_missing_is_not_started_and_nothing_is_pulled(
    host, stack
):
    engine, _ = host
    _, write = stack
    absent = f"docker.io/library/{unique()}:1"
    project = write(server=a_service("exit 0", image=absent))

    with pytest.raises(ImageLoadError, match=absent):
        Compose.find(engine).up(project, [absent])

    assert project_state(engine, project.name) == ()


def test_what_compose_says_of_a_wrong_file_is_told(host, stack):
    engine, _ = host
    reference, write = stack
    project = write(server=a_service("exit 0", volumes=["nowhere:/m"]))

    with pytest.raises(StartError, match="nowhere"):
        Compose.find(engine).up(project, [reference])

    write(server=a_service("exit 0"))


def test_an_unhealthy_service_is_told_with_its_check_and_its_last_words(host, stack):
    engine, _ = host
    reference, write = stack
    script = (
        "printf 'no \\033[31mGPU\\033[0m, \\033[2Jgone\\n'; echo on stderr >&2; "
        f"exec {SHELL} sleep 600"
    )
    project = write(
        server=a_service(script, healthcheck=a_check("echo port is shut; exit 1"))
    )
    Compose.find(engine).up(project, [reference])

    with pytest.raises(StartError) as caught:
        wait_healthy(engine, project.name, ["server"], 30)

    message = caught.value.message
    assert "service server is unhealthy" in message
    assert "its health check says: port is shut" in message
    # Colours, and all else that would do something to the terminal, are left out.
    assert "| no GPU, gone" in message
    assert "| on stderr" in message
    assert "\x1b" not in message


def test_a_service_that_ends_is_told_with_its_status_and_last_twenty_lines(host, stack):
    engine, _ = host
    reference, write = stack
    script = f"for i in $$({SHELL} seq 30); do echo line $$i; done; exit 3"
    project = write(server=a_service(script))
    Compose.find(engine).up(project, [reference])

    with pytest.raises(StartError) as caught:
        wait_healthy(engine, project.name, ["server"], 30)

    message = caught.value.message
    assert "service server is exited with status 3" in message
    shown = [line for line in message.splitlines() if "| line" in line]
    assert [line.split()[-1] for line in shown] == [str(n) for n in range(11, 31)]


def test_a_service_that_is_late_or_not_there_is_told_after_the_time_given(host, stack):
    engine, _ = host
    reference, write = stack
    check = {**a_check("exit 1"), "start_period": "600s"}
    sleep = f"echo loading; exec {SHELL} sleep 600"
    project = write(server=a_service(sleep, healthcheck=check))
    Compose.find(engine).up(project, [reference])

    with pytest.raises(StartError) as caught:
        wait_healthy(engine, project.name, ["server", "gateway"], 1)

    message = caught.value.message
    assert "not up after 1 seconds" in message
    assert "service gateway has no container" in message
    assert "service server is starting" in message
    assert "| loading" in message


def test_a_port_that_is_taken_is_told_with_its_number_and_what_to_do(host, stack):
    engine, _ = host
    reference, write = stack
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        published = [f"127.0.0.1:{port}:80"]
        project = write(server=a_service("exit 0", ports=published))
        value = json.loads(Path(project.file).read_text())
        del value["services"]["server"]["network_mode"]
        Path(project.file).write_text(json.dumps(value))

        with pytest.raises(StartError) as caught:
            Compose.find(engine).up(project, [reference])

    assert f"known cause, port-taken: port {port} of this host" in caught.value.message
    assert f"ss -ltnp 'sport = :{port}'" in caught.value.hint
    assert caught.value.facts["causes"][0]["slug"] == "port-taken"
