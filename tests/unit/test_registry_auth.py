"""Logins come from Docker's configuration, and no error gives one away."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from sealift_bundler.registry import credentials
from sealift_bundler.registry.auth import Authenticator, parse_challenges
from sealift_bundler.registry.credentials import Credential, find_credential
from sealift_bundler.registry.transport import HttpPolicy, Transport
from sealift_manifests.errors import SourceUnreachableError

SECRET = "s3cret:with colon"
HUB = "https://index.docker.io/v1/"


def login(user: str = "me", secret: str = SECRET) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{secret}".encode()).decode()}


@pytest.fixture
def find(tmp_path: Path):
    """Return a search in a config.json, with helper scripts on PATH."""

    def search(config: object, registry: str = "reg.test:5000", **helpers: str):
        text = config if isinstance(config, str) else json.dumps(config)
        (tmp_path / "config.json").write_text(text)
        for name, script in helpers.items():
            path = tmp_path / f"docker-credential-{name}"
            path.write_text("#!/bin/sh\n" + script)
            path.chmod(0o755)
        environ = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"}
        return find_credential(registry, environ=environ)

    return search


def answering(user: str, secret: str) -> str:
    return f"echo '{json.dumps({'Username': user, 'Secret': secret})}'\n"


def test_without_a_configuration_there_is_no_login(tmp_path):
    assert find_credential("reg.test", environ={"HOME": str(tmp_path)}) is None


def test_the_configuration_is_looked_for_in_the_home_directory(tmp_path):
    (tmp_path / ".docker").mkdir()
    config = {"auths": {"reg.test": login()}}
    (tmp_path / ".docker" / "config.json").write_text(json.dumps(config))

    found = find_credential("reg.test", environ={"HOME": str(tmp_path)})

    assert found == Credential("me", SECRET)


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("reg.test:5000", "reg.test:5000"),
        ("https://reg.test:5000", "reg.test:5000"),
        ("https://reg.test:5000/v1/", "reg.test:5000"),
        (HUB, "docker.io"),
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
    ],
)
def test_a_login_is_found_under_every_name_it_is_kept_by(find, key, registry):
    assert find({"auths": {key: login()}}, registry) == Credential("me", SECRET)


@pytest.mark.parametrize(
    "key",
    [
        "reg.test",
        "reg.test:5001",
        "reg.test:5000.evil.test",
        "https://evil.test/reg.test:5000",
        "https://reg.test:5000/other/path",
        HUB,
    ],
)
def test_a_login_for_another_registry_is_not_used(find, key):
    assert find({"auths": {key: login()}}) is None


def test_hubs_own_key_goes_before_its_other_names(find):
    config = {
        "auths": {
            f"{HUB}access-token": login("token"),
            "docker.io": login("other"),
            HUB: login("hub"),
        }
    }

    assert find(config, "docker.io").username == "hub"


def test_an_identity_token_is_known_as_one(find):
    entry = login("<token>", "") | {"identitytoken": "abc"}

    found = find({"auths": {"reg.test:5000": entry}})

    assert found == Credential("<token>", "abc", is_identity_token=True)


def test_a_registrys_own_helper_goes_before_the_common_one_and_the_file(find):
    config = {
        "auths": {"reg.test:5000": login("file")},
        "credsStore": "common",
        "credHelpers": {"reg.test:5000": "own"},
    }
    common, own = answering("common", "x"), answering("own", "x")

    assert find(config, common=common, own=own).username == "own"
    del config["credHelpers"]
    assert find(config).username == "common"


def test_a_helper_is_told_the_server_on_its_input_and_hub_by_its_old_url(find):
    echoing = 'printf \'{"Username": "%s", "Secret": "x"}\' "$1 $(cat)"\n'
    config = {"credsStore": "echo"}

    assert find(config, echo=echoing).username == "get reg.test:5000"
    assert find(config, "docker.io").username == f"get {HUB}"


def test_a_helpers_token_user_means_an_identity_token(find):
    found = find({"credsStore": "a"}, a=answering("<token>", "abc"))

    assert found == Credential("<token>", "abc", is_identity_token=True)


def test_a_helper_that_knows_nothing_leaves_it_to_the_file(find):
    nothing = "echo 'credentials not found in native keychain'; exit 1\n"
    config = {"credsStore": "a", "auths": {"reg.test:5000": {}}}

    assert find(config, a=nothing) is None
    config["auths"] = {"reg.test:5000": login()}
    assert find(config) == Credential("me", SECRET)


@pytest.mark.parametrize(
    "script",
    [
        f"echo {SECRET}; exit 3\n",
        f"echo {SECRET}\n",
        f"echo {SECRET} >&2; exit 1\n",
        f'echo \'{{"Secret": "{SECRET}"}}\'\n',
        f"echo '[\"{SECRET}\"]'\n",
    ],
)
def test_a_helper_that_fails_is_named_and_what_it_said_is_not(find, script):
    with pytest.raises(SourceUnreachableError, match="docker-credential-a") as caught:
        find({"credsStore": "a"}, a=script)

    assert_no_secret(caught)


def test_a_helper_that_hangs_is_given_up_on(find, monkeypatch):
    monkeypatch.setattr(credentials, "_HELPER_SECONDS", 0.2)

    with pytest.raises(SourceUnreachableError, match="no answer within") as caught:
        find({"credsStore": "a"}, a=f"echo {SECRET}; exec sleep 5\n")

    assert_no_secret(caught)


def test_a_helper_that_is_not_there_is_said_so(find):
    with pytest.raises(SourceUnreachableError, match="cannot be run: No such file"):
        find({"credsStore": "a"})


@pytest.mark.parametrize("name", ["../../bin/sh", "a b", "a/b", ["a"], 7])
def test_a_helper_is_named_by_a_plain_word(find, name):
    with pytest.raises(SourceUnreachableError, match="names a credential helper"):
        find({"credsStore": name})


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        {"auths": []},
        {"auths": {"reg.test:5000": SECRET}},
        {"auths": {"reg.test:5000": {"auth": SECRET}}},
        {"auths": {"reg.test:5000": {"auth": "c2VjcmV0"}}},
        {"auths": {"reg.test:5000": {"auth": "/////w=="}}},
    ],
)
def test_a_broken_configuration_is_named_without_what_is_in_it(find, config):
    with pytest.raises(SourceUnreachableError, match=r"config\.json") as caught:
        find(config)

    assert_no_secret(caught)


def assert_no_secret(caught: pytest.ExceptionInfo[SourceUnreachableError]) -> None:
    texts = [caught.value.hint]
    error: BaseException | None = caught.value
    while error is not None:
        texts += [str(error), repr(error), repr(getattr(error, "output", ""))]
        error = error.__cause__
    assert not any(SECRET in text or "s3cret" in text for text in texts)


def test_a_login_does_not_show_its_secret_when_printed():
    assert SECRET not in repr(Credential("me", SECRET))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", {}),
        ("Basic", {"basic": {}}),
        ('Basic realm="a b"', {"basic": {"realm": "a b"}}),
        (
            'Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"',
            {
                "bearer": {
                    "realm": "https://a/t",
                    "service": "s",
                    "scope": "repository:x:pull,push",
                }
            },
        ),
        (
            'Basic realm="b", BEARER  realm = "https://a/t" , service=s',
            {
                "basic": {"realm": "b"},
                "bearer": {"realm": "https://a/t", "service": "s"},
            },
        ),
        ('Bearer realm="a\\"b",realm="second"', {"bearer": {"realm": 'a"b'}}),
    ],
)
def test_a_challenge_is_read_in_all_its_forms(header, expected):
    assert parse_challenges(header) == expected


def authenticator(found: Credential | None) -> Authenticator:
    transport = Transport(HttpPolicy(attempts=1), insecure=frozenset())
    return Authenticator("reg.test", transport, find=lambda _registry: found)


def test_a_refused_password_is_not_sent_twice():
    auth = authenticator(Credential("me", SECRET))
    first = auth.renew('Basic realm="x"', "scope", stale=None)

    assert first == "Basic " + login()["auth"]
    assert auth.header("scope") == first
    assert auth.renew('Basic realm="x"', "scope", stale=first) is None
    assert auth.header("scope") is None


def test_a_renewal_by_another_thread_is_shared():
    auth = authenticator(Credential("me", SECRET))
    first = auth.renew("Basic", "scope", stale=None)

    assert auth.renew("Basic", "scope", stale="Bearer old") == first


@pytest.mark.parametrize("challenge", ["", "Negotiate", "Basic", "Bearer x=y"])
def test_without_a_login_there_is_no_answer_to_a_challenge(challenge):
    assert authenticator(None).renew(challenge, "scope", stale=None) is None


@pytest.mark.parametrize("realm", ["ftp://a/t", "/t", "http://[bad", "https://a:x/t"])
def test_a_realm_that_is_no_web_address_is_not_asked(realm):
    challenge = f'Bearer realm="{realm}"'

    assert authenticator(None).renew(challenge, "scope", stale=None) is None


def test_a_login_is_not_sent_to_a_token_server_in_the_clear():
    auth = authenticator(Credential("me", SECRET))

    with pytest.raises(SourceUnreachableError, match="plain http"):
        auth.renew('Bearer realm="http://198.51.100.1/token"', "scope", stale=None)
