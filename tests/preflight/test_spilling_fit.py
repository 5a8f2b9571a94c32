"""Does a GGUF model fit? Worked examples, by hand, for llama.cpp and Ollama."""

from __future__ import annotations

from dataclasses import replace

import pytest
from preflight_making import GIB, LLAMA_8B, a_bundle, a_host, a_service
from sealift_manifests.preflight.check import check_host
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.memory import layer_bytes
from sealift_manifests.preflight.needs import ALL, GpuRequest
from sealift_manifests.preflight.words import as_json

# Llama 3.1 8B in Q4_K_M: 4.58 GiB; 128 KiB of KV cache for a token.
QUANTIZED = replace(
    LLAMA_8B, weights_size=4_920_739_232, format="gguf", quantization="Q4_K_M"
)
T4 = 15360 << 20


def fit(model=QUANTIZED, card: str = "T4", count: int = 1, **service) -> Finding:
    """Return the one finding about memory of a server of GGUF models."""
    asked = {"server": "llama.cpp", "models": ("llama",), **service}
    needs = a_bundle(None, a_service(**asked), model=model)
    found = check_host(needs, a_host(gpu=card, count=count))
    (finding,) = [f for f in found if f.slug.startswith("memory-")]
    return finding


def figures(finding: Finding) -> dict[str, object]:
    (value,) = as_json([finding])
    return value.get("figures", {})


def test_the_context_of_all_slots_together_must_fit():
    # 4.58 + 1 GiB; 15 GiB - that = 9.4 GiB = 77,200 tokens.
    room = (T4 - QUANTIZED.weights_size - GIB) // 131072 // 16 * 16
    assert 77_000 < room < 77_300

    assert fit(max_model_len=16384, slots=4).slug == "memory-fits"
    spilled = fit(max_model_len=32768, slots=4)

    assert (spilled.level, spilled.slug) == ("warn", "memory-spills")
    tokens = room // 4
    assert f"fits up to {tokens} tokens: --ctx-size {tokens * 4}." in spilled.remedy
    assert figures(spilled) == {"fits_tokens": tokens}


def test_what_is_said_to_fit_does_fit_and_one_block_more_does_not():
    longest = figures(fit(max_model_len=100_000))["fits_tokens"]

    assert fit(max_model_len=longest).slug == "memory-fits"
    assert fit(max_model_len=longest + 16).slug == "memory-spills"


def test_without_a_context_the_models_own_must_fit():
    (small, large) = fit(), fit(card="L4")

    # 131072 tokens are 16 GiB.
    assert (small.slug, large.slug) == ("memory-unknown", "memory-fits")
    assert "which holds 77" in small.measured
    assert figures(large) == {"fits_tokens": 131072}


@pytest.mark.parametrize(
    ("keys", "values", "size"),
    [
        ("f16", None, 4096),
        ("q8_0", "q8_0", 2 * 8 * 128 // 32 * 34),
        ("q8_0", "f16", 8 * 128 // 32 * 34 + 2048),
        ("q4_0", "q4_0", 2 * 8 * 128 // 32 * 18),
        ("f16", "q9_9", None),
    ],
)
def test_keys_and_values_have_a_dtype_each(keys, values, size):
    assert layer_bytes(QUANTIZED, keys, 1, values) == size


def test_values_may_be_narrower_than_keys():
    assert layer_bytes(replace(QUANTIZED, value_head_dim=64), "f16", 1) == 3072


def test_layers_that_are_told_to_stay_off_the_gpus_take_nothing_there():
    half = {"max_model_len": 131072, "gpu_layers": 16}

    assert fit(max_model_len=131072).slug == "memory-spills"
    # 16 of 33 parts of the weights and half of 16 GiB: 2.22 + 8 + 1 GiB.
    assert fit(**half).slug == "memory-fits"
    assert "2.22 GiB weights, 8.00 GiB KV cache" in fit(**half).measured


@pytest.mark.parametrize("told", [ALL, 33, 999])
def test_all_layers_are_all_layers_however_it_is_said(told):
    assert fit(max_model_len=8192, gpu_layers=told).measured == (
        fit(max_model_len=8192).measured
    )


def test_a_fixed_number_of_layers_that_do_not_fit_may_not_start():
    model = replace(QUANTIZED, weights_size=40 * GIB)

    fixed = fit(model, max_model_len=4096, gpu_layers=ALL)
    free = fit(model, max_model_len=4096)

    assert "may not start" in fixed.remedy
    assert "may not start" not in free.remedy
    # (15 - 1) GiB / (40 / 33 GiB + 16 MiB) = 11.4
    assert "About 11 layers fit: --n-gpu-layers 11." in fixed.remedy


def test_a_server_told_to_use_no_gpu_is_told_of():
    finding = fit(gpu_layers=0)

    assert finding.level == "warn"
    assert "--n-gpu-layers all" in finding.remedy


def test_what_an_option_keeps_off_the_gpus_is_no_guess():
    assert fit(tensors_on_cpu=True, max_model_len=4096).slug == "memory-unknown"


def test_the_gpus_of_a_service_share_the_model():
    model = replace(QUANTIZED, weights_size=24 * GIB)
    both = GpuRequest("reservations", 2)

    assert fit(model, max_model_len=4096).slug == "memory-spills"
    assert fit(model, count=2, gpu=both, max_model_len=4096).slug == "memory-fits"


def test_ollama_is_told_of_its_own_option():
    finding = fit(server="ollama", max_model_len=65536, slots=2)

    tokens = figures(finding)["fits_tokens"]
    assert f"OLLAMA_CONTEXT_LENGTH={tokens}." in finding.remedy
    assert "layers" not in finding.remedy


@pytest.mark.parametrize("field", ["weights_size", "layers", "kv_lora_rank"])
def test_a_model_of_unknown_size_is_unknown(field):
    finding = fit(replace(QUANTIZED, **{field: None}), max_model_len=4096)

    assert finding.level == "unknown"
    assert figures(finding) == {}


def test_some_layers_of_an_unknown_number_are_unknown():
    model = replace(QUANTIZED, weights_size=40 * GIB, layers=None)

    assert fit(model, max_model_len=4096, gpu_layers=8).slug == "memory-unknown"
    assert fit(model, max_model_len=4096, gpu_layers=ALL).slug == "memory-spills"


def test_vllm_has_its_figures_too():
    asked = {"server": "vllm", "max_model_len": 32768}
    needs = a_bundle(None, a_service(models=("llama",), **asked), model=LLAMA_8B)
    host = a_host(gpu="L4", count=4)
    (finding,) = [f for f in check_host(needs, host) if f.slug.startswith("memory-")]

    found = figures(finding)

    assert found["tensor_parallel_sizes"] == (2, 4)
    assert f"--max-model-len {found['fits_tokens']}." in finding.remedy
