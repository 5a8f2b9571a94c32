"""Is this the answer? What came, and what is said when it is not as expected."""

import json

import pytest
from sealift_installer.reach import Address, address_of
from sealift_installer.smoke_answer import events_in, faults_of, joined, shown
from sealift_manifests.smoke import Expectation, JsonRule

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "It is Pàris."}}
    ],
    "usage": {"total_tokens": 12, "rate": 1.5, "cached": None, "done": True},
}


def chat(*rules: JsonRule, **more) -> tuple[str, ...]:
    return faults_of(Expectation(json=rules, **more), 200, json.dumps(CHAT).encode())


@pytest.mark.parametrize(
    "rule",
    [
        ("choices.0.message.content", "contains", "Pàris"),
        ("choices.0.message.content", "matches", r"P.ris\.$"),
        ("choices.0.message.role", "is", '"assistant"'),
        ("usage.total_tokens", "is", "12.0"),
        ("usage", "is", json.dumps({**CHAT["usage"], "total_tokens": 12.0})),
        ("choices", "is", json.dumps(CHAT["choices"])),
        ("usage.total_tokens", "type", "integer"),
        ("usage.total_tokens", "type", "number"),
        ("usage.rate", "type", "number"),
        ("usage.cached", "type", "null"),
        ("usage.done", "type", "boolean"),
        ("choices", "type", "list"),
        ("usage", "type", "object"),
        ("id", "type", "text"),
    ],
)
def test_an_answer_of_the_expected_shape_is_good(rule):
    assert chat(JsonRule(*rule)) == ()


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (
            ("choices.0.message.content", "contains", "Rome"),
            "expected a text with 'Rome' at choices.0.message.content, and \"It is "
            'Pàris." is there',
        ),
        (("choices.1.text", "type", "text"), "nothing is there"),
        (("choices.x", "type", "text"), "nothing is there"),
        (("usage.rate", "type", "integer"), "and 1.5 is there"),
        (("usage.done", "is", "1"), "and true is there"),
        (("usage", "is", json.dumps({**CHAT["usage"], "done": 1})), '"done": true'),
        (("choices", "is", json.dumps([{**CHAT["choices"][0], "index": False}])), "0"),
        (("choices", "is", "[]"), "index"),
        (("usage", "is", "{}"), "total_tokens"),
        (("usage.cached", "is", "false"), "null"),
        (("usage.total_tokens", "contains", "12"), "and 12 is there"),
        (("id", "matches", "^cmpl"), "a text that matches '^cmpl'"),
    ],
)
def test_another_shape_is_told_with_what_is_there(rule, fault):
    (told,) = chat(JsonRule(*rule))

    assert fault in told


def test_words_are_found_however_json_writes_them():
    assert chat(contains=("Pàris",)) == ()
    assert chat(contains=("pÀris",), ignore_case=True) == ()
    assert chat(contains=("pÀris", "Rome")) == (
        "expected 'pÀris' in the answer",
        "expected 'Rome' in the answer",
    )


def test_another_status_is_all_that_is_told():
    wanted = Expectation(contains=("Paris",))

    assert faults_of(wanted, 503, b"loading") == (
        "expected the status 200, and 503 came",
    )


def test_what_is_not_json_is_told_once():
    rules = (JsonRule("a", "type", "text"), JsonRule("b", "type", "text"))

    assert faults_of(Expectation(json=rules), 200, b"<html>") == ("expected JSON",)


OPENAI = (
    b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    b': keep-alive\n\ndata: {"choices":[{"delta":{"content":"Pa"}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"ris"}}]}\r\n\r\ndata: [DONE]\n\n'
)
STREAMS = [
    OPENAI,
    b'data: {"choices":[{"text":"Pa"}]}\n\ndata: {"choices":[{"text":"ris"}]}',
    b'data:{"token":{"text":"Pa"}}\n\ndata:{"token":{"text":"ris"}}\n\n',
    b'data: {"content":"Pa","stop":false}\n\ndata: {"content":"ris","stop":true}\n\n',
    b'{"response":"Pa","done":false}\n{"response":"ris","done":true}\n',
    b'{"message":{"content":"Pa"}}\n{"message":{"content":"ris"},"done":true}\n',
    b"event: word\ndata: Paris\n\n",
]


@pytest.mark.parametrize("body", STREAMS)
def test_what_a_stream_says_is_put_together(body):
    text = body.decode()

    assert joined(events_in(text)) == "Paris"
    wanted = Expectation(stream=True, contains=("Paris",))
    assert faults_of(wanted, 200, body) == ()
    assert faults_of(Expectation(stream=True, contains=("Rome",)), 200, body) == (
        "expected 'Rome' in what the events say",
    )


def test_an_answer_in_one_piece_is_no_stream():
    wanted = Expectation(stream=True)

    assert faults_of(wanted, 200, b"Paris") == (
        "expected a stream of events, and none came",
    )


def test_three_hundred_characters_are_shown_and_none_moves_the_cursor():
    assert shown(b"a\x1b[2J\n" + b"b" * 500) == r"a\x1b[2J " + "b" * 294
    assert shown(b"") == "nothing"


# Where a container is reached


def container(mode="acme_default", ports=None, **networks):
    return {
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Ports": ports or {}, "Networks": networks},
    }


def bound(*places):
    return {"8000/tcp": [{"HostIp": ip, "HostPort": port} for ip, port in places]}


BRIDGE = {"IPAddress": "172.18.0.2", "GlobalIPv6Address": ""}


@pytest.mark.parametrize(
    ("shown_", "expected"),
    [
        (container(ports=bound(("127.0.0.1", "18000"))), ("127.0.0.1", 18000)),
        (container(ports=bound(("0.0.0.0", "80"))), ("127.0.0.1", 80)),
        (container(ports=bound(("::", "80"), ("0.0.0.0", "80"))), ("127.0.0.1", 80)),
        (container(ports=bound(("::", "80"))), ("::1", 80)),
        (container(mode="host"), ("127.0.0.1", 8000)),
        (container(a=BRIDGE), ("172.18.0.2", 8000)),
        # Published for others: the host goes the short way.
        (container(ports=bound(("10.1.1.1", "80")), a=BRIDGE), ("172.18.0.2", 8000)),
        (container(ports=bound(("10.1.1.1", "80"))), ("10.1.1.1", 80)),
        (container(ports={"8000/tcp": None}, a=BRIDGE), ("172.18.0.2", 8000)),
        (container(mode="none", none={"IPAddress": ""}), None),
        ({}, None),
    ],
)
def test_a_container_is_reached_where_it_is_published_or_on_its_own_address(
    shown_, expected
):
    found = address_of(shown_, 8000)

    assert found == (Address(*expected) if expected else None)


def test_networks_of_a_rootless_engine_are_not_this_hosts():
    published = container(ports=bound(("127.0.0.1", "80")), a=BRIDGE)

    assert address_of(published, 8000, rootless=True) == Address("127.0.0.1", 80)
    assert address_of(container(a=BRIDGE), 8000, rootless=True) is None
    assert address_of(container(mode="host"), 8000, rootless=True) is None
