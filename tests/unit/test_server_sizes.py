"""How servers in Compose services are sized, by the options that people give them."""

from __future__ import annotations

from typing import Any

import pytest
from sealift_bundler.insides.needs import ImageConfig
from sealift_manifests.preflight.needs import ALL, ServiceNeeds
from service_making import OTHER, VLLM, needs

FULL = {
    "server": "vllm",
    "tensor_parallel": 4,
    "pipeline_parallel": 2,
    "max_model_len": 32768,
    "memory_thousandths": 850,
    "kv_dtype": "fp8",
    "max_batched_tokens": 8192,
    "enforce_eager": True,
}


OF_LLAMA_CPP = ("value_dtype", "gpu_layers", "tensors_on_cpu")


def sized(found: ServiceNeeds) -> dict[str, Any]:
    """Return what is known of a service besides its GPUs, image and ports."""
    names = (*FULL, "kv_cache_size", "slots", "compat_on", *OF_LLAMA_CPP)
    return {n: getattr(found, n) for n in names if getattr(found, n) is not None}


@pytest.mark.parametrize(
    "command",
    [
        "--model /m --tensor-parallel-size 4 -pp 2 --max-model-len 32768 "
        "--gpu-memory-utilization 0.85 --kv-cache-dtype fp8 --enforce-eager "
        "--max-num-batched-tokens=8192",
        [
            *("--tensor_parallel_size=4", "--pipeline-parallel-size=2"),
            *("--enforce-eager", "--max_model_len", "32K"),
            *("--gpu-memory-utilization=.85", "--kv-cache-dtype", "FP8"),
            *("--max-num-batched-tokens", "8192"),
        ],
        "-tp 2 -tp=${TP:-4} -pp 2 --max-model-len 32768 --max-num-batched-tokens 8192 "
        "--gpu-memory-utilization ${UTIL-0.85} --kv-cache-dtype fp8 --enforce-eager",
    ],
)
def test_vllms_options_are_read_however_they_are_written(tmp_path, command):
    assert sized(needs(tmp_path, command=command)) == FULL


@pytest.mark.parametrize(
    "started",
    [
        {"entrypoint": ["vllm", "serve"], "command": "/m -tp 2"},
        {"entrypoint": "", "command": "vllm serve /m -tp 2"},
        {"command": "python3 -m vllm.entrypoints.openai.api_server -tp 2"},
        {"entrypoint": ["/bin/bash", "-lc"], "command": ["exec vllm serve m -tp 2"]},
        {"entrypoint": ["sh", "-c", "vllm serve m -tp 2"]},
    ],
)
def test_vllm_is_known_however_it_is_started(tmp_path, started):
    found = needs(tmp_path, OTHER, **started)

    assert sized(found) == {"server": "vllm", "tensor_parallel": 2}


def test_a_script_that_nobody_can_read_is_no_vllm(tmp_path):
    found = needs(tmp_path, entrypoint="/start.sh")

    assert sized(found) == {"server": "other"}


def test_the_images_own_command_counts_until_the_service_has_one(tmp_path):
    image = ImageConfig({}, ("vllm", "serve"), ("--max-model-len", "100"))

    assert needs(tmp_path, image).max_model_len == 100
    assert needs(tmp_path, image, command="m").max_model_len is None
    assert needs(tmp_path, image, entrypoint="vllm serve").max_model_len is None


def test_an_image_that_is_not_built_yet_leaves_the_server_unknown(tmp_path):
    assert needs(tmp_path, None, command="-tp 2").server is None
    assert needs(tmp_path, None, command="vllm serve m").server == "vllm"


@pytest.mark.parametrize(
    ("words", "length"),
    [
        ("--max-model-len auto", 1),
        ("--max-model-len -1", 1),
        ("--max-model-len 1.5k", 1500),
        ("--max-model-len 64k", 64000),
        ("--max-model-len ${LEN:?}", None),
        ("--max-model-len many", None),
        ("--max-model-len", None),
    ],
)
def test_lengths_are_read_as_vllm_reads_them(tmp_path, words, length):
    assert needs(tmp_path, command=words).max_model_len == length


CONFIG = """\
# as vLLM's documents have it
model: /m
tensor-parallel-size: 4
pipeline_parallel_size: 2
max-model-len: 32K
gpu-memory-utilization: .85
kv-cache-dtype: fp8
max-num-batched-tokens: 8192
enforce-eager: true
served-model-name: [chat, "--enforce-eager"]
compilation-config: {level: 3}
"""


@pytest.mark.parametrize(
    ("command", "service"),
    [
        ("--config /etc/vllm/c.yaml", {}),
        ("--config=/etc/vllm/../vllm/c.yaml", {}),
        ("--config c.yaml", {"working_dir": "/etc/vllm"}),
        (["sh", "-c", "exec vllm serve --config /etc/vllm/c.yaml"], {"entrypoint": []}),
    ],
)
def test_options_in_a_file_that_the_stack_carries_are_read(tmp_path, command, service):
    found = needs(
        tmp_path,
        files={"c.yaml": CONFIG},
        volumes=["./c.yaml:/etc/vllm/c.yaml:ro"],
        command=command,
        **service,
    )

    assert sized(found) == {**FULL, "server": "vllm"}


def test_of_what_is_given_in_both_the_command_line_counts(tmp_path):
    mount = {"type": "bind", "source": "./c.yaml", "target": "/c.yaml"}
    found = needs(
        tmp_path,
        files={"c.yaml": CONFIG},
        volumes=[mount],
        command="--config /c.yaml -tp 8 --no-enforce-eager",
    )

    assert (found.tensor_parallel, found.pipeline_parallel) == (8, 2)
    assert found.enforce_eager is False


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (CONFIG, "--config /other.yaml"),
        (CONFIG, "--config c.yaml"),
        (CONFIG, "--config"),
        (CONFIG, "--config ${FILE:?}"),
        ("- a list\n", "--config /c.yaml"),
        ("a: [\n", "--config /c.yaml"),
        ("a: 1\na: 2\n", "--config /c.yaml"),
        ("#" * (2 << 20), "--config /c.yaml"),
    ],
)
def test_options_in_a_file_that_cannot_be_read_leave_it_open(tmp_path, text, command):
    found = needs(
        tmp_path, files={"c.yaml": text}, volumes=["./c.yaml:/c.yaml"], command=command
    )

    assert sized(found) == {"server": "other"}


@pytest.mark.parametrize(
    ("image", "service"),
    [
        (VLLM, {"command": "--model /m --max-model-len ${LEN:?}"}),
        (VLLM, {"command": ["--model", "/m", "-tp", "${TP:?}"]}),
        (VLLM, {"command": "--model /m ${MORE:?}"}),
        (VLLM, {"command": ["--max-model-len=${LEN:?}"]}),
        (
            ImageConfig({}, ("/bin/ollama", "serve")),
            {"environment": ["OLLAMA_CONTEXT_LENGTH"]},
        ),
        (
            ImageConfig({}, ("/app/llama-server",)),
            {"environment": {"LLAMA_ARG_CTX_SIZE": None}},
        ),
    ],
)
def test_a_size_that_only_the_host_knows_is_no_default(tmp_path, image, service):
    assert sized(needs(tmp_path, image, **service)) == {"server": "other"}


@pytest.mark.parametrize(
    "command",
    ["--model /m --api-key ${KEY:?} -tp 2", ["--api-key", "${KEY:?}", "-tp", "2"]],
)
def test_a_value_that_sizes_nothing_may_be_the_hosts(tmp_path, command):
    expected = {"server": "vllm", "tensor_parallel": 2}

    assert sized(needs(tmp_path, command=command)) == expected


def test_switches_in_a_file_can_be_off(tmp_path):
    found = needs(
        tmp_path,
        files={"c.yaml": "enforce-eager: false\n"},
        volumes=["./c.yaml:/c.yaml"],
        command="--config /c.yaml",
    )

    assert found.enforce_eager is False


def test_switches_can_be_switched_off_again(tmp_path):
    off = needs(tmp_path, command="--enforce-eager --no-enforce-eager")

    assert off.enforce_eager is False


def test_tgi_takes_options_before_variables(tmp_path):
    image = ImageConfig({"NUM_SHARD": "8"}, ("/tgi-entrypoint.sh",))
    environment = {
        "MAX_TOTAL_TOKENS": 4096,
        "NUM_SHARD": 4,
        "CUDA_MEMORY_FRACTION": "0.9",
    }

    found = needs(tmp_path, image, command="--num-shard 2", environment=environment)

    assert sized(found) == {
        "server": "tgi",
        "tensor_parallel": 2,
        "max_model_len": 4096,
        "memory_thousandths": 900,
    }


def test_llama_cpps_context_is_shared_by_its_slots(tmp_path):
    image = ImageConfig({}, ("/app/llama-server",))

    found = needs(tmp_path, image, command="-c 32768 -np 4 -ctk q8_0")

    assert sized(found) == {
        "server": "llama.cpp",
        "max_model_len": 8192,
        "slots": 4,
        "kv_dtype": "q8_0",
        "value_dtype": "f16",
    }


@pytest.mark.parametrize(
    ("command", "environment", "expected"),
    [
        ("-ngl 20", {}, {"gpu_layers": 20}),
        ("--n_gpu_layers=0", {}, {"gpu_layers": 0}),
        ("--gpu-layers all", {}, {"gpu_layers": ALL}),
        ("-ngl auto", {}, {}),
        ("-ngl -1", {}, {}),
        ("", {"LLAMA_ARG_N_GPU_LAYERS": "99"}, {"gpu_layers": 99}),
        ("-ngl 5", {"LLAMA_ARG_N_GPU_LAYERS": "99"}, {"gpu_layers": 5}),
        ("-ctv q4_0", {}, {"kv_dtype": "f16", "value_dtype": "q4_0"}),
        ("-ncmoe 4", {}, {"tensors_on_cpu": True}),
        ("-ot exps=CPU", {}, {"tensors_on_cpu": True}),
        ("", {"LLAMA_ARG_CPU_MOE": "1"}, {"tensors_on_cpu": True}),
    ],
)
def test_llama_cpp_says_what_goes_on_the_gpus(tmp_path, command, environment, expected):
    image = ImageConfig({}, ("/app/llama-server",))

    found = needs(tmp_path, image, command=command, environment=environment)

    assert sized(found) == {"server": "llama.cpp", **expected}


def test_ollama_is_sized_by_its_environment(tmp_path):
    image = ImageConfig({}, ("/bin/ollama",), ("serve",))
    files = {"o.env": "# sizes\nexport OLLAMA_NUM_PARALLEL='3'\n"}

    found = needs(
        tmp_path,
        image,
        files,
        env_file="o.env",
        environment=["OLLAMA_CONTEXT_LENGTH=8192"],
    )

    assert sized(found) == {"server": "ollama", "max_model_len": 8192, "slots": 3}
