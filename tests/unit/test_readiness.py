"""Where known servers say that they are ready: found at build time, told as a note."""

import pytest
from sealift_bundler.compose import Stack, parse_stack
from sealift_bundler.insides.needs import ImageConfig
from sealift_bundler.serving.ready import endpoints
from sealift_manifests.readiness import NOTE, Endpoint, endpoints_of, ready_facts
from sealift_manifests.stack_entries import StackEntry

CONFIGS = {
    "vllm": ImageConfig({}, entrypoint=("vllm", "serve")),
    "tgi": ImageConfig({"PORT": "80"}, entrypoint=("/tgi-entrypoint.sh",)),
    "llama": ImageConfig(
        {"LLAMA_ARG_HOST": "0.0.0.0"}, entrypoint=("/app/llama-server",)
    ),
    "bare-llama": ImageConfig({}, entrypoint=("llama-server",)),
    "python": ImageConfig({}, entrypoint=("python3", "-m", "llama_cpp.server")),
    "ollama": ImageConfig(
        {"OLLAMA_HOST": "0.0.0.0:11434"},
        entrypoint=("/bin/ollama",),
        command=("serve",),
    ),
    "qdrant": ImageConfig({}, entrypoint=("./entrypoint.sh",)),
    "checked": ImageConfig({}, entrypoint=("vllm", "serve"), has_healthcheck=True),
    "other": ImageConfig({}, entrypoint=("nginx",)),
}
REFERENCES = {key: f"registry.example/{key}:1" for key in CONFIGS} | {
    "qdrant": "qdrant/qdrant:v1.15.5"
}


KEY = ["python3", "-m", "llama_cpp.server", "--host", "0.0.0.0", "--api_key", "k"]
MOUNT = "./cfg.yaml:/qdrant/config/production.yaml:ro"


def found(image, **service):
    stack = Stack(
        "compose.yaml",
        {"services": {"s": {"image": image, **service}}},
        {"s": image},
        {"s": ()},
        {},
        REFERENCES,
    )
    return [(e.server, e.port, e.path) for e in endpoints(stack, CONFIGS)]


@pytest.mark.parametrize(
    ("image", "service", "expected"),
    [
        ("vllm", {"command": ["/models"]}, ("vllm", 8000, "/health")),
        ("vllm", {"command": "/m --port=9000"}, ("vllm", 9000, "/health")),
        ("vllm", {"command": "/m --port ${P:-9001}"}, ("vllm", 9001, "/health")),
        ("tgi", {}, ("tgi", 80, "/health")),
        ("tgi", {"environment": {"PORT": "81"}}, ("tgi", 81, "/health")),
        ("tgi", {"command": "--port 82"}, ("tgi", 82, "/health")),
        ("llama", {"command": "-m /x.gguf"}, ("llama.cpp", 8080, "/health")),
        (
            "bare-llama",
            {"command": "--host 0.0.0.0 --port 9"},
            ("llama.cpp", 9, "/health"),
        ),
        (
            "python",
            {"command": ["--host", "0.0.0.0"]},
            ("llama-cpp-python", 8000, "/v1/models"),
        ),
        ("ollama", {}, ("ollama", 11434, "/api/version")),
        (
            "ollama",
            {"environment": ["OLLAMA_HOST=http://0.0.0.0:1234/"]},
            ("ollama", 1234, "/api/version"),
        ),
        ("ollama", {"environment": {"OLLAMA_HOST": "0.0.0.0"}}, None),
        ("qdrant", {}, ("qdrant", 6333, "/readyz")),
        (
            "qdrant",
            {"environment": {"QDRANT__SERVICE__HTTP_PORT": "7000"}},
            ("qdrant", 7000, "/readyz"),
        ),
        ("checked", {"healthcheck": {"disable": True}}, ("vllm", 8000, "/health")),
        (
            "qdrant",
            {
                "environment": {"QDRANT__SERVICE__ENABLE_TLS": "false"},
                "volumes": ["data:/qdrant/storage"],
            },
            ("qdrant", 6333, "/readyz"),
        ),
    ],
)
def test_a_known_server_without_a_health_check_is_asked_where_it_listens(
    image, service, expected
):
    assert found(image, **service) == [expected or ("ollama", 11434, "/api/version")]


@pytest.mark.parametrize(
    ("image", "service"),
    [
        ("checked", {}),
        ("vllm", {"healthcheck": {"test": ["CMD", "true"]}}),
        ("other", {}),
        # Where the host cannot reach it, or the port is not known.
        ("vllm", {"command": "/m --host 127.0.0.1"}),
        ("vllm", {"command": "/m --port ${PORT}"}),
        ("bare-llama", {"command": "-m /x.gguf"}),
        ("python", {}),
        ("ollama", {"environment": {"OLLAMA_HOST": "127.0.0.1:11434"}}),
        ("ollama", {"environment": {"OLLAMA_HOST": "http://0.0.0.0"}}),
        ("llama", {"command": "--host /run/llama.sock"}),
        # Where it answers over TLS, at another path, or only with a key.
        ("vllm", {"command": "/m --ssl-certfile /c --ssl-keyfile=/k"}),
        ("vllm", {"command": "/m --uds /run/vllm.sock"}),
        ("llama", {"command": "--ssl-key-file /k --ssl-cert-file /c"}),
        ("llama", {"environment": {"LLAMA_ARG_SSL_CERT_FILE": "/c"}}),
        ("llama", {"environment": ["LLAMA_ARG_SSL_KEY_FILE"]}),
        ("llama", {"command": "--api-prefix /x"}),
        ("llama", {"environment": {"LLAMA_ARG_API_PREFIX": "/x"}}),
        (
            "llama",
            {"entrypoint": ["sh", "-c", "LLAMA_ARG_PORT=9 exec llama-server"]},
        ),
        ("python", {"entrypoint": KEY}),
        ("python", {"command": "--host 0.0.0.0 --ssl_keyfile /k"}),
        ("python", {"command": "--host 0.0.0.0 --config_file /c"}),
        ("python", {"command": "--host 0.0.0.0", "environment": {"API_KEY": "k"}}),
        ("qdrant", {"environment": {"QDRANT__SERVICE__ENABLE_TLS": "true"}}),
        ("qdrant", {"environment": ["QDRANT__SERVICE__ENABLE_TLS=1"]}),
        # Where a file that is not read says so.
        ("vllm", {"command": "/m --config /etc/vllm.yaml"}),
        ("qdrant", {"volumes": [MOUNT]}),
        ("qdrant", {"volumes": [{"type": "bind", "target": "/qdrant"}]}),
        ("qdrant", {"volumes": ["./c:${WHERE}"]}),
        ("qdrant", {"command": "./qdrant --config-path /c.yaml"}),
    ],
)
def test_one_with_a_check_or_out_of_reach_is_not_asked(image, service):
    assert found(image, **service) == []


@pytest.mark.parametrize(
    ("options", "command", "expected"),
    [
        ("port: 9001\n", "", [9001]),
        ("port: 9001\n", "--port 9002", [9002]),
        ("host: 127.0.0.1\n", "", []),
        ("ssl-certfile: /c\n", "", []),
    ],
)
def test_a_file_of_options_that_the_stack_carries_is_gone_by(
    tmp_path, options, command, expected
):
    image = "vllm/vllm-openai:v0.11.0"
    (tmp_path / "vllm.yaml").write_text(options)
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  s:\n    image: {image}\n"
        f"    command: vllm serve /m --config /c/vllm.yaml {command}\n"
        "    volumes: ['./vllm.yaml:/c/vllm.yaml:ro']\n"
    )

    stack = parse_stack(tmp_path / "compose.yaml", {"vllm": image}, [])

    assert [each.port for each in endpoints(stack, {})] == expected


def test_the_note_is_read_back_and_what_is_odd_in_it_is_passed_over():
    endpoint = Endpoint("llm", "vllm", 8000, "/health")
    odd = [{"service": "a"}, "x", {**vars(endpoint), "service": "b", "port": 0}]

    def read(value):
        stack = StackEntry("c", (), (), {NOTE: value})
        return endpoints_of(stack)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StackEntry, "__post_init__", lambda self: None)
        assert read(ready_facts([endpoint])) == {"llm": endpoint}
        assert read([*odd, vars(endpoint)]) == {"llm": endpoint}
        assert read("nonsense") == {}
