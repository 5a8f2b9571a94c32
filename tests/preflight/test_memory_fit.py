"""Does a model fit? Worked examples, by hand, of vLLM's arithmetic."""

from __future__ import annotations

from dataclasses import replace

import pytest
from preflight_making import GIB, LLAMA_8B, a_bundle, a_gpu, a_host, a_service
from sealift_manifests.preflight import memory
from sealift_manifests.preflight.check import check_host
from sealift_manifests.preflight.facts import MigInstance
from sealift_manifests.preflight.memory import Split, layer_bytes, layers_of
from sealift_manifests.preflight.needs import GpuRequest, ModelNeeds

DEEPSEEK = replace(
    LLAMA_8B, layers=61, heads=128, kv_heads=128, kv_lora_rank=512, qk_rope_head_dim=64
)
LLAMA_70B = replace(LLAMA_8B, weights_size=132 * GIB, layers=80, heads=64)


def cache(model: ModelNeeds, length: int, split: Split | None = None, **service):
    """Return the KV cache of one request, least and most."""
    layers = layers_of(model, a_service(**service), split or Split())
    assert layers is not None
    return layers.cache_size(length)


def memory_findings(model: ModelNeeds, host, **service):
    """Return the findings about memory of one service with one model."""
    needs = a_bundle(None, a_service(models=("llama",), **service), model=model)
    found = check_host(needs, host)
    return [f for f in found if f.slug.startswith(("memory-", "heads-", "gpu-too-few"))]


def test_llama_8b_takes_128_kib_for_a_token_and_4_gib_for_32768():
    assert cache(LLAMA_8B, 16) == (16 * 131072, 16 * 131072)
    assert cache(LLAMA_8B, 32768) == (4 * GIB, 4 * GIB)


def test_llama_8b_on_an_l4_fits_up_to_about_26000_tokens():
    (finding,) = memory_findings(LLAMA_8B, a_host(gpu="L4"), max_model_len=32768)

    assert (finding.level, finding.slug) == ("fail", "memory-too-small")
    # 23034 MiB x 0.92 - 15 GiB - 2.5 GiB = 3.19 GiB, in whole blocks of 16 tokens.
    room = 23034 * 2**20 * 920 // 1000 - 15 * GIB - 5 * GIB // 2
    longest = room // 131072 // 16 * 16
    assert 26000 < longest < 26500
    assert f"--max-model-len {longest}." in finding.remedy


def test_what_is_said_to_fit_does_fit_and_one_block_more_does_not():
    host = a_host(gpu="L4")
    (finding,) = memory_findings(LLAMA_8B, host, max_model_len=32768)
    longest = int(finding.remedy.split("--max-model-len ")[1].split(".")[0])

    for length, slug in ((longest, "memory-tight"), (longest + 16, "memory-too-small")):
        (found,) = memory_findings(LLAMA_8B, host, max_model_len=length)
        assert found.slug == slug


def test_tensor_parallel_sizes_that_would_work_are_named():
    host = a_host(gpu="H100", count=8)
    (finding,) = memory_findings(LLAMA_70B, host, max_model_len=8192)

    assert finding.slug == "memory-too-small"
    assert "--tensor-parallel-size 2 or 4 or 8 fits" in finding.remedy
    (four,) = memory_findings(LLAMA_70B, host, max_model_len=8192, tensor_parallel=4)
    assert four.slug == "memory-fits"


def test_a_model_that_fits_nowhere_gets_no_length():
    host = a_host(gpu="T4")
    (finding,) = memory_findings(LLAMA_70B, host, max_model_len=16)

    assert finding.slug == "memory-too-small"
    assert finding.remedy.startswith("Use GPUs with more memory")


@pytest.mark.parametrize(
    ("tensor", "heads"), [(1, 8), (2, 4), (4, 2), (8, 1), (16, 1), (32, 1)]
)
def test_kv_heads_are_divided_and_then_copied(tensor, heads):
    assert memory.kv_heads_per_gpu(LLAMA_8B, tensor) == heads


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(None, 4096), ("auto", 4096), ("fp8", 2048), ("fp8_e5m2", 2048), ("nvfp4", 1152)],
)
def test_the_kv_dtype_counts(dtype, size):
    assert layer_bytes(LLAMA_8B, dtype, 1) == size


def test_an_unknown_kv_dtype_makes_the_size_unknown():
    assert layer_bytes(LLAMA_8B, "int2", 1) is None


@pytest.mark.parametrize("tensor", [1, 8])
def test_mla_is_neither_doubled_nor_divided(tensor):
    assert layer_bytes(DEEPSEEK, "auto", tensor) == 576 * 2
    assert layer_bytes(DEEPSEEK, "fp8_ds_mla", tensor) == 656


def test_pipeline_parallel_divides_layers_and_rounds_up():
    assert cache(DEEPSEEK, 16, Split(1, 2)) == (31 * 16 * 1152,) * 2


def test_without_head_dim_it_is_hidden_size_by_heads():
    assert layer_bytes(replace(LLAMA_8B, head_dim=None), "auto", 1) == 4096


def test_without_kv_heads_all_heads_count():
    assert layer_bytes(replace(LLAMA_8B, kv_heads=None), "auto", 1) == 4 * 4096


def test_a_request_takes_whole_blocks():
    assert cache(LLAMA_8B, 17) == cache(LLAMA_8B, 32)


def test_sliding_layers_keep_their_window_only():
    model = replace(LLAMA_8B, sliding_window=1024, sliding_layers=24)

    least, most = cache(model, 32768, max_batched_tokens=2048)

    window = 1023 + 2048 + 16
    assert least == most == 4096 * (8 * 32768 + 24 * window)
    assert cache(model, 512, max_batched_tokens=2048)[1] == 4096 * 32 * 512


def test_sliding_layers_of_unknown_number_make_a_range():
    model = replace(LLAMA_8B, sliding_window=1024)

    least, most = cache(model, 32768)

    assert least == 4096 * 32 * 1024
    assert most == 4096 * 32 * 32768


def test_layers_without_a_growing_cache_do_not_count():
    assert cache(replace(LLAMA_8B, stateful_layers=24), 16)[1] == 8 * 16 * 4096


@pytest.mark.parametrize("field", ["sliding_window", "stateful_layers"])
def test_what_is_not_known_of_the_layers_is_no_guess(field):
    model = replace(LLAMA_8B, **{field: None})

    (small,) = memory_findings(model, a_host(gpu="L4"), max_model_len=32768)
    (large,) = memory_findings(model, a_host(gpu="H100"), max_model_len=32768)

    assert (small.slug, large.slug) == ("memory-unknown", "memory-fits")


@pytest.mark.parametrize(
    "field", ["layers", "kv_lora_rank", "weights_size", "max_positions"]
)
def test_a_model_of_unknown_size_is_unknown(field):
    model = replace(LLAMA_8B, **{field: None})

    (finding,) = memory_findings(model, a_host(gpu="H100"))

    assert finding.level == "unknown"


def test_weights_alone_can_be_too_much_though_the_rest_is_unknown():
    model = replace(LLAMA_70B, layers=None)

    (finding,) = memory_findings(model, a_host(gpu="H100"))

    assert finding.slug == "memory-too-small"


def test_eager_mode_saves_the_graphs():
    host = a_host(gpu="L4")

    (graphs,) = memory_findings(LLAMA_8B, host, max_model_len=32768)
    (eager,) = memory_findings(LLAMA_8B, host, max_model_len=32768, enforce_eager=True)

    assert (graphs.slug, eager.slug) == ("memory-too-small", "memory-tight")


def test_a_fixed_kv_cache_is_taken_as_it_is():
    fixed = {"max_model_len": 32768, "kv_cache_size": 4 * GIB}

    (large,) = memory_findings(LLAMA_8B, a_host(gpu="L4"), **fixed)
    (small,) = memory_findings(LLAMA_8B, a_host(gpu="T4"), **fixed)
    fixed["kv_cache_size"] -= 1
    (short,) = memory_findings(LLAMA_8B, a_host(gpu="L4"), **fixed)

    assert large.slug == "memory-fits"
    assert (small.slug, short.slug) == ("memory-too-small",) * 2


def test_the_smallest_gpu_of_the_set_decides():
    gpus = (a_gpu("L40S", 0), a_gpu("L4", 1))
    host = a_host(gpus=gpus)
    model = replace(LLAMA_8B, weights_size=60 * GIB)

    (finding,) = memory_findings(model, host, tensor_parallel=2, max_model_len=1024)

    assert finding.slug == "memory-too-small"


def test_a_mig_instance_is_what_a_service_gets():
    parts = (MigInstance("MIG-1", "1g.10gb", 10 * GIB),)
    host = a_host(gpus=(a_gpu("H100", mig=True, mig_instances=parts),))

    (finding,) = memory_findings(LLAMA_8B, host, max_model_len=1024)

    assert finding.slug == "memory-too-small"


def test_the_first_gpus_are_those_a_count_gets():
    gpus = (a_gpu("L4", 0), a_gpu("H100", 1))
    one = GpuRequest("reservations", 1)
    second = GpuRequest("reservations", ids=("1",))

    (first,) = memory_findings(
        LLAMA_8B, a_host(gpus=gpus), gpu=one, max_model_len=32768
    )
    (named,) = memory_findings(
        LLAMA_8B, a_host(gpus=gpus), gpu=second, max_model_len=32768
    )

    assert (first.slug, named.slug) == ("memory-too-small", "memory-fits")


def test_llama_cpp_only_warns():
    common = {"server": "llama.cpp", "max_model_len": 8192, "slots": 4}

    (small,) = memory_findings(LLAMA_8B, a_host(gpu="2080Ti"), **common)
    (slots,) = memory_findings(LLAMA_8B, a_host(gpu="T4"), **common)
    (large,) = memory_findings(LLAMA_8B, a_host(gpu="L4"), **common)

    assert (small.level, slots.level) == ("warn", "warn")
    assert large.slug == "memory-fits"


def test_tgi_fails_on_weights_only():
    tgi = {"server": "tgi", "tensor_parallel": 1}

    (cache_too_large,) = memory_findings(
        LLAMA_8B, a_host(gpu="L4"), max_model_len=131072, **tgi
    )
    (weights,) = memory_findings(LLAMA_8B, a_host(gpu="2080Ti"), **tgi)

    assert (cache_too_large.slug, weights.slug) == ("memory-tight", "memory-too-small")
