"""A stack that was started answers, is watched, and says why when it does not."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hosts
import making
import pytest
import serving_making
from making import PYZ, Host
from serving_making import DIES, Serving, a_service, serving

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def bundles(
    tmp_path_factory: pytest.TempPathFactory, engine: hosts.Engine
) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("serving"), engine) as made:
        yield made


@pytest.fixture
def host(tmp_path: Path, bundles: Serving, engine: hosts.Engine) -> Iterator[Host]:
    yield Host(tmp_path / "host", bundles.good / PYZ)
    making.clear_engine(engine, bundles.name)


def test_what_a_bundle_asks_is_shown(bundles):
    shown = making.sealift("inspect", bundles.good, "--key", bundles.key.public)

    shown.expect(
        0, "smoke      capital: POST llm:8000/v1/chat/completions, within 60 s"
    )


def test_a_stack_is_up_when_its_services_answer_what_they_are_asked(host, bundles):
    bundles.install(host, bundles.good)

    started = host.run("start", "--wait", "60", "--json").expect(0)

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

    told = host.run("status").expect(0, "last smoke  2", " good", "last audit  2")
    assert "llm: running, up " in told.out and "memory " in told.out
    assert f"at 127.0.0.1:{bundles.port}->8000/tcp" in told.out
    facts = host.run("status", "--json").expect(0).facts["bundles"][0]
    llm = next(c for c in facts["containers"] if c["service"] == "llm")
    assert llm["ports"] == [f"127.0.0.1:{bundles.port}->8000/tcp"]
    assert (llm["state"], llm["health"], llm["fault"]) == ("running", None, None)
    assert llm["memory"] > 0 and llm["up_seconds"] > 0
    assert facts["last_smoke_clean"] is True
    host.run("diagnose").expect(0, "nothing is wrong with")

    # Without an engine that answers, it says what it knows.
    silent = host.but(engine=making.NO_ENGINE).run("status")
    silent.expect(0, "last smoke", "services    unknown: no engine")


def test_the_unit_for_the_next_boot_runs_the_hosts_copy_with_its_places(host, bundles):
    bundles.install(host, bundles.good)
    units = host.root / "units"
    units.mkdir()
    host.run("unit", "--enable", "--unit-dir", units, "--layers").expect(0, "wrote ")
    unit = (units / f"sealift-{bundles.name}.service").read_text()
    copy = host.state / "current" / bundles.name / PYZ
    places = f"--state-dir {host.state} --config-dir {host.config}"
    run = f"{host.python} -I -B {copy}"
    assert f"\nExecStart={run} start {bundles.name} {places} --layers\n" in unit
    assert f"\nExecStartPre={run} stop {bundles.name} {places}\n" in unit
    assert f"RequiresMountsFor={host.state} {host.config} /" in unit
    assert "\nRequires=docker.service\n" in unit and "nvidia" not in unit


def test_a_wrong_answer_fails_a_start_and_the_release_before_serves(host, bundles):
    bundles.install(host, bundles.good)
    host.run("start", "--wait", "60").expect(0)
    bundles.install(host, bundles.wrong)

    failed = host.run("start", "--wait", "60")

    failed.expect(43, "1 of 3 smoke tests of", "smoke capital: FAILED")
    failed.expect(43, f"POST llm:8000/v1/chat/completions at 127.0.0.1:{bundles.port}")
    failed.expect(43, "expected 'paris' in the answer", "200 came: {", "It is Rome.")
    failed.expect(43, f"{bundles.name} 1, which served before, is in use again")

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


def test_a_service_that_does_not_come_up_is_told_with_its_cause_and_remedy(
    host, bundles, engine, tmp_path
):
    ill = {
        "dies": a_service("llm", DIES, restart="unless-stopped"),
        "speaks": a_service(
            "llm", "while echo on a terminal; do /bin/busybox sleep 1; done", tty=True
        ),
    }
    with_ill = serving_making.a_bundle(
        tmp_path / "3", engine, bundles.key, bundles.name, port=bundles.port, more=ill
    )
    bundles.install(host, with_ill)

    failed = host.run("start", "--wait", "8", "--progress", "plain")

    failed.expect(43, "| loading", "known cause, gpu-memory-full: GPU 0 has no room")
    failed.expect(43, "remedy: End what else uses that GPU")
    told = host.run("diagnose").expect(43, "service dies is", "over and over")
    assert "gpu-memory-full: GPU 0 has no room: 22.00 MiB more" in told.said
    host.run("status").expect(0, "WRONG       dies:", "gpu-memory-full")

    # What they wrote is shown, by whom, also of one that died and on a terminal.
    logs = host.run("logs", "--tail", "1").expect(0)
    assert "dies    | torch.OutOfMemoryError: CUDA out of memory." in logs.out
    assert "speaks  | on a terminal" in logs.out
    assert "llm     | the model is loaded" in logs.out
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
