"""Smoke tests in a spec: what people write, what is carried, what is refused."""

import json

import pytest
from sealift_bundler.pack_stack import load_stack
from sealift_bundler.spec_load import load_spec
from sealift_manifests.errors import SourceContentError, SpecError
from sealift_manifests.smoke import Expectation, Header, JsonRule, SmokeTest

HEAD = """\
sealift: 1
name: acme
version: "1"
images:
  server: {pull: "registry.example/vllm:v1"}
stack: compose.yaml
smoke:
"""
COMPOSE = """\
services:
  llm:
    image: server
    ports: ["127.0.0.1:18000:8000"]
  audit: {image: server, network_mode: none}
"""
QUESTION = """\
  - name: knows-a-capital
    service: llm
    port: 8000
    path: /v1/chat/completions
    json:
      model: chat
      temperature: 0
      top_p: 0.5
      stream: false
      stop: null
      messages: [{role: user, content: "What is the capital of France?"}]
    expect:
      contains: Paris
      ignore_case: true
      json:
        choices.0.message.content: {contains: Paris}
        choices.0.message.role: assistant
        usage.total_tokens: integer
        choices.0.index: 0
        id: {matches: "^chat"}
        object: {is: text}
    within: 120
"""


@pytest.fixture
def load(tmp_path):
    """Load a spec with these smoke tests, beside a stack of two services."""

    def load(tests, compose=COMPOSE):
        (tmp_path / "compose.yaml").write_text(compose)
        (tmp_path / "sealift.yaml").write_text(HEAD + tests)
        return load_spec(tmp_path / "sealift.yaml")

    return load


def faults(load, tests):
    with pytest.raises(SpecError) as caught:
        load(tests)
    return [line.strip() for line in caught.value.message.splitlines()[1:]]


def test_a_question_to_a_model_is_carried_as_json_with_what_must_come(load):
    (test,) = [smoke.test() for smoke in load(QUESTION).smoke]

    assert json.loads(test.body) == {
        "model": "chat",
        "temperature": 0,
        "top_p": 0.5,
        "stream": False,
        "stop": None,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
    }
    assert test == SmokeTest(
        name="knows-a-capital",
        service="llm",
        port=8000,
        path="/v1/chat/completions",
        method="POST",
        headers=(Header("Content-Type", "application/json"),),
        body=test.body,
        expect=Expectation(
            contains=("Paris",),
            ignore_case=True,
            json=(
                JsonRule("choices.0.message.content", "contains", "Paris"),
                JsonRule("choices.0.message.role", "is", '"assistant"'),
                JsonRule("usage.total_tokens", "type", "integer"),
                JsonRule("choices.0.index", "is", "0"),
                JsonRule("id", "matches", "^chat"),
                JsonRule("object", "is", '"text"'),
            ),
        ),
        within=120,
    )


def test_a_short_one_asks_with_get_and_wants_the_status_200(load):
    (smoke,) = load("  - {name: up, service: llm, port: 8000, path: /health}\n").smoke

    assert smoke.test() == SmokeTest("up", "llm", 8000, "/health")


def test_all_faults_are_told_at_once_with_their_lines(load):
    assert faults(
        load,
        """\
  - {name: one, service: lm, port: 8000, path: /health}
  - {name: two, service: llm, port: 18000, path: health}
  - {name: two, service: audit, port: 80, path: /}
  - {name: four, service: llm, port: 8000, path: /, expekt: {}}
  - name: five
    service: llm
    port: 8000
    path: /
    expect:
      json: {a: {matches: "("}}
""",
    ) == [
        "smoke[0].service (line 8): the stack has no service 'lm'; did you mean llm? "
        "services: audit, llm",
        "smoke[1] (line 9): two: the path 'health' must begin with / and have no "
        "spaces",
        "smoke[1].port (line 9): 18000 is the host's side of 18000:8000; give the "
        "container's, 8000",
        "smoke[2].name (line 10): is that of smoke[1] too",
        "smoke[2].service (line 10): audit has no network, so nobody can ask it",
        "smoke[3].expekt (line 11): is not a key here; did you mean expect? allowed: "
        "name, service, port, path, method, headers, json, body, expect, within",
        "smoke[4] (line 12): a: the pattern '(' is not a regular expression: missing "
        "), unterminated subpattern at position 0",
    ]


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("json: {a: 1}, body: x", "give json or body, not both"),
        ("json: {a: 1}, method: GET", "only a POST has a body"),
        ("method: PUT", "the method is GET or POST"),
        ("json: {a: .nan}", "JSON knows no such number"),
        ("within: 4000", "`within` is 1 to 3600 seconds"),
        ("headers: {Host: a}", "is set by whoever sends"),
        ("expect: {status: 999}", "999 is no status"),
        ("expect: {stream: true, json: {a: text}}", "a stream is many"),
        ("expect: {json: {a: {is: 1, contains: x}}}", "give one of type, is"),
        ("expect: {json: {a..b: text}}", "bad path 'a..b'"),
        ("expect: {json: {a: {type: string}}}", "'string' is no type"),
    ],
)
def test_what_cannot_be_asked_is_refused(load, written, fault):
    told = faults(
        load, f"  - {{name: up, service: llm, port: 8000, path: /, {written}}}\n"
    )

    assert len(told) == 1
    assert told[0].startswith("smoke[0] (line 8): ") or "expect" in told[0]
    assert fault in told[0]


SECRETS = "secrets: {api-key: {generate: 32}, token: }\n"


def asking(value: str) -> str:
    return (
        "  - {name: up, service: llm, port: 8000, path: /, "
        f'headers: {{Authorization: "{value}"}}}}\n'
    )


def test_a_header_sends_a_secret_of_the_host(load):
    (smoke,) = load(asking("Bearer ${secret:token}") + SECRETS).smoke
    assert smoke.test().secrets == ("token",)


@pytest.mark.parametrize(
    ("value", "more", "fault"),
    [
        ("${secret:key}", SECRETS, "${secret:key} is no secret of this spec"),
        ("${secret:key}", "", "with one of `secrets:`, which has none"),
        ("${TOKEN}", SECRETS, "${TOKEN} is no secret of this spec; write"),
    ],
)
def test_a_header_that_sends_no_secret_of_the_spec_is_refused(load, value, more, fault):
    (told,) = faults(load, asking(value) + more)

    assert told.startswith("smoke[0].headers.Authorization (line 8): ")
    assert fault in told


def test_smoke_tests_without_a_stack_are_refused(tmp_path):
    text = HEAD.replace("stack: compose.yaml\n", "") + QUESTION
    (tmp_path / "sealift.yaml").write_text(text)

    with pytest.raises(SpecError, match="name its Compose file"):
        load_spec(tmp_path / "sealift.yaml")


def test_a_token_in_a_request_stops_the_build(load):
    token = "hf_" + "aB3dE5gH7j" * 4
    spec = load(
        "  - {name: up, service: llm, port: 8000, path: /, "
        f'headers: {{Authorization: "Bearer {token}"}}}}\n'
    )

    with pytest.raises(SourceContentError) as caught:
        load_stack(spec)

    assert "the smoke tests of the spec" in caught.value.message
    assert token not in caught.value.message
