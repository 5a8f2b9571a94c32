"""A stack that was started answers, is watched, and says why when it does not.

The tests of this file use one host in turn.
"""

from __future__ import annotations

import fcntl
import signal
import subprocess
from collections.abc import Iterator

import hosts
import making
import pytest
import serving_making
from engines import SHELL
from making import PYZ, Host, Outcome
from serving_making import DIES, Serving, a_service, serving

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def bundles(
    tmp_path_factory: pytest.TempPathFactory, engine: hosts.Engine
) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("serving"), engine) as made:
        yield made


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, bundles: Serving, engine: hosts.Engine
) -> Iterator[Host]:
    """The one host of this file, with the good bundle installed."""
    host = Host(tmp_path_factory.mktemp("host"), bundles.good / PYZ)
    bundles.install(host, bundles.good)
    yield host
    making.clear_engine(engine, bundles.name)


@pytest.fixture(scope="module")
def started(host: Host) -> Outcome:
    """How the first start went."""
    return host.run("start", "--wait", "60", "--json").expect(0)


def test_what_a_bundle_asks_is_shown(bundles):
    shown = making.sealift("inspect", bundles.good, "--key", bundles.key.public)

    shown.expect(
        0, "smoke      capital: POST llm:8000/v1/chat/completions, within 60 s"
    )


def test_a_stack_is_up_when_its_services_answer_what_they_are_asked(host, started):
    # The Qdrant has no health check and says for five seconds that it is loading: had
    # it been taken for ready after three, its test would have failed.
    asked = {each["name"]: each for each in started.facts["smoke"]}
    assert list(asked) == ["capital", "streamed", "vectors"]
    assert all(each["good"] for each in asked.values())
    assert 0 < asked["streamed"]["first_byte_s"] <= asked["streamed"]["seconds"]

    again = host.run("smoke").expect(0, "smoke capital: good, first byte after ")

    assert "smoke vectors: good" in again.out
    (line,) = [e for e in host.ledger() if e["event"] == "smoke"][-1:]
    assert (line["clean"], len(line["tests"])) == (True, 3)


@pytest.mark.usefixtures("started")
def test_what_runs_is_told_with_its_ports_and_memory_and_how_it_answered(host, bundles):
    told = host.run("status").expect(0, "last smoke  2", " good", "last audit  2")
    facts = host.run("status", "--json").expect(0).facts["bundles"][0]

    assert "llm: running, up " in told.out and "memory " in told.out
    assert f"at 127.0.0.1:{bundles.port}->8000/tcp" in told.out
    llm = next(c for c in facts["containers"] if c["service"] == "llm")
    assert llm["ports"] == [f"127.0.0.1:{bundles.port}->8000/tcp"]
    assert (llm["state"], llm["health"], llm["fault"]) == ("running", None, None)
    assert llm["memory"] > 0 and llm["up_seconds"] > 0
    assert facts["last_smoke_clean"] is True
    host.run("diagnose").expect(0, "nothing is wrong with")

    # Without an engine that answers, it says what it knows.
    silent = host.but(engine=making.NO_ENGINE).run("status")
    silent.expect(0, "last smoke", "services    unknown: no engine")


def test_the_unit_for_the_next_boot_runs_this_hosts_copy_in_its_places(host, bundles):
    units = host.root / "units"
    units.mkdir()

    host.run("unit", "--enable", "--unit-dir", units, "--layers").expect(0, "wrote ")

    unit = (units / f"sealift-{bundles.name}.service").read_text()
    copy = host.state / "current" / bundles.name / PYZ
    places = f"--state-dir {host.state} --config-dir {host.config}"
    run = f"{host.python} -I -B {copy}"
    started = f"start {bundles.name} {places} --wait-for-lock --layers"
    assert f"\nExecStart={run} {started}\n" in unit
    assert f"\nExecStartPre={run} stop {bundles.name} {places} --at-once\n" in unit
    assert f"RequiresMountsFor={host.state} {host.config} /" in unit
    assert "\nRequires=docker.service\n" in unit and "nvidia" not in unit


@pytest.mark.usefixtures("started")
def test_a_server_that_runs_and_does_not_answer_is_named(host, bundles, engine):
    asked = ("ps", "-q", "--filter", f"name={bundles.name}.*vectors")
    vectors = engine.text(*asked)
    engine.run("exec", vectors, SHELL, "mv", "/www/readyz", "/www/gone")

    told = host.run("diagnose")

    told.expect(43, "service vectors is running", "it runs, and is not ready: qdrant ")
    engine.run("exec", vectors, SHELL, "mv", "/www/gone", "/www/readyz")
    host.run("diagnose").expect(0, "nothing is wrong with")


@pytest.mark.usefixtures("started")
def test_while_another_command_is_at_work_a_boot_stops_the_stack_and_waits(
    host, bundles
):
    def services() -> set[str]:
        (bundle,) = host.run("status", "--json").expect(0).facts["bundles"]
        return {each["state"] for each in bundle["containers"]}

    words = ["start", bundles.name, "--wait-for-lock", "--wait", "60"]
    places = ["--state-dir", host.state, "--config-dir", host.config]
    start = [host.python, "-I", "-B", host.pyz, *words, *places]
    with (host.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        host.run("stop").expect(44, "another command is changing")
        assert services() == {"running"}

        host.run("stop", "--at-once").expect(0, "is stopped")

        assert services() == {"exited"}
        host.run("start").expect(44)
        starting = subprocess.Popen(
            list(map(str, start)), stderr=subprocess.PIPE, text=True
        )
        assert starting.stderr is not None
        assert "waiting for it" in starting.stderr.readline()
        assert starting.poll() is None
    _, said = starting.communicate(timeout=120)
    assert starting.returncode == 0, said
    assert services() == {"running"}


@pytest.mark.usefixtures("started")
def test_a_wrong_answer_fails_a_start_and_the_release_before_serves(host, bundles):
    bundles.install(host, bundles.wrong)

    # Until then the old one runs: the new one's questions are not for it.
    asked = [entry["event"] for entry in host.ledger()].count("smoke")
    host.run("smoke").expect(43, f"what runs is {bundles.name} 1", "`start`")
    assert [entry["event"] for entry in host.ledger()].count("smoke") == asked
    waits = f"{bundles.name} 2 is in use and not started yet"
    good = f"nothing is wrong with {bundles.name} 1"
    host.run("diagnose").expect(0, waits, good)

    failed = host.run("start", "--wait", "60", "--json")

    # Programs get what failed as well as what serves.
    assert failed.facts["serving"].startswith("1-")
    asked_of_2 = [each["good"] for each in failed.facts["smoke"]]
    assert asked_of_2 == [False, True, True]

    failed.expect(47, "1 of 3 smoke tests of", "smoke capital: FAILED")
    failed.expect(47, f"POST llm:8000/v1/chat/completions at 127.0.0.1:{bundles.port}")
    failed.expect(47, "expected 'paris' in the answer", "200 came: {", "It is Rome.")
    failed.expect(47, f"{bundles.name} 1, which served before, is in use again")

    # What is told of that one is its own, not what was found with the other.
    host.run("status").expect(0, "last audit  2", "last smoke  2", " good")

    # Whoever knows better may leave the questions out, and that is said.
    host.run("rollback", "--to", "2").expect(0)
    host.run("start", "--no-smoke", "--no-fallback", "--wait", "60").expect(
        0, "is up", "the smoke tests were left out (--no-smoke)"
    )
    asked = host.run("smoke", "--json")
    assert asked.code == 43
    assert [each["good"] for each in asked.facts["smoke"]] == [False, True, True]
    host.run("status").expect(0, "last smoke", "FAILED")


@pytest.fixture(scope="module")
def failed(
    host: Host,
    bundles: Serving,
    engine: hosts.Engine,
    tmp_path_factory: pytest.TempPathFactory,
) -> Outcome:
    """How the start of a release with services that do not do well went."""
    folder = tmp_path_factory.mktemp("ill") / "3"
    ill = {
        "dies": a_service("llm", DIES, restart="unless-stopped"),
        "speaks": a_service(
            "llm", "while echo on a terminal; do /bin/busybox sleep 1; done", tty=True
        ),
        "mute": a_service(
            "llm", "exec /bin/busybox sleep 600", logging={"driver": "none"}
        ),
    }
    with_ill = serving_making.a_bundle(
        folder, engine, bundles.key, bundles.name, port=bundles.port, more=ill
    )
    bundles.install(host, with_ill)
    return host.run("start", "--no-fallback", "--wait", "8")


def test_a_service_that_does_not_come_up_is_told_with_its_cause_and_remedy(
    host, failed
):
    failed.expect(43, "| loading", "known cause, gpu-memory-full: GPU 0 has no room")
    failed.expect(43, "remedy: End what else uses that GPU")
    told = host.run("diagnose").expect(43, "service dies is", "over and over")
    assert "gpu-memory-full: GPU 0 has no room: 22.00 MiB more" in told.said
    host.run("status").expect(0, "WRONG       dies:", "gpu-memory-full")


@pytest.mark.usefixtures("failed")
def test_what_containers_wrote_is_shown_also_of_one_that_died(host, bundles):
    # By whom it was written, and also on a terminal.
    logs = host.run("logs", "--tail", "1").expect(0)
    assert "dies    | torch.OutOfMemoryError: CUDA out of memory." in logs.out
    assert "speaks  | on a terminal" in logs.out
    assert "llm     | the model is loaded" in logs.out
    # One that keeps no log hides no other one's.
    assert "the log of mute" in logs.err and "cannot be read" in logs.err
    (lost,) = host.run("logs", "--json").expect(0).facts["unreadable"]
    assert lost["service"] == "mute"
    assert "dies" not in host.run("logs", bundles.name, "llm").expect(0).out
    host.run("logs", bundles.name, "web").expect(2, "there is no container of web")
    lines = host.run("logs", bundles.name, "llm", "--since", "1h", "--json").facts
    assert [each["text"] for each in lines["lines"]] == ["the model is loaded"]

    # `--follow` shows what comes, and ends when it is told to.
    follow = [host.python, "-I", "-B", host.pyz, "logs", bundles.name, "speaks", "-f"]
    follow += ["--state-dir", host.state, "--config-dir", host.config, "--tail", "0"]
    with subprocess.Popen([*map(str, follow)], stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        assert following.stdout.readline().startswith(b"speaks | on a ")
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == 0
