"""What sizes a model in memory, from the configs that models really have."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from sealift_bundler.models.files import ModelFile
from sealift_bundler.models.serving import serving_needs
from sealift_manifests.errors import SourceContentError
from sealift_manifests.preflight.needs import DtypeSize, ModelNeeds

LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "max_position_embeddings": 131072,
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0},
    "torch_dtype": "bfloat16",
}
GEMMA = {
    **LLAMA,
    "model_type": "gemma3_text",
    "head_dim": 256,
    "sliding_window": 1024,
    "sliding_window_pattern": 6,
    "num_hidden_layers": 34,
}


def files(**sizes: int) -> list[ModelFile]:
    """Return files of these sizes that are not here yet, as for a plan."""

    def unreadable() -> io.BytesIO:
        raise AssertionError("weights were read")

    return [
        ModelFile(path, size, unreadable, is_here=False) for path, size in sizes.items()
    ]


def text_file(path: str, value: object) -> ModelFile:
    data = json.dumps(value).encode()
    return ModelFile(path, len(data), lambda: io.BytesIO(data))


def shape(**config: Any) -> ModelNeeds:
    return serving_needs("chat", [text_file("config.json", config)])


def test_a_plain_model_is_sized_by_its_config_and_files():
    listed = [*files(**{"model.safetensors": 1000}), text_file("config.json", LLAMA)]

    assert serving_needs("chat", listed, {"BF16": 400, "F32": 50}) == ModelNeeds(
        name="chat",
        weights_size=1000,
        sizes=(DtypeSize("BF16", 800), DtypeSize("F32", 200)),
        layers=32,
        heads=32,
        kv_heads=8,
        hidden_size=4096,
        kv_lora_rank=0,
        sliding_window=0,
        stateful_layers=0,
        max_positions=131072,
        dtype="bfloat16",
        format="safetensors",
    )


def test_the_text_part_of_a_multimodal_model_counts():
    whole = {"model_type": "mllama", "hidden_size": 1, "vision_config": {}}

    found = shape(**whole, text_config={**LLAMA, "dtype": None})

    assert (found.layers, found.hidden_size, found.kv_heads) == (32, 4096, 8)


def test_latent_attention_is_known_by_its_ranks():
    found = shape(**LLAMA, kv_lora_rank=512, qk_rope_head_dim=64)

    assert (found.kv_lora_rank, found.qk_rope_head_dim) == (512, 64)


@pytest.mark.parametrize(
    ("config", "window", "layers"),
    [
        (GEMMA, 1024, 29),
        ({**LLAMA, "model_type": "mistral", "sliding_window": 4096}, 4096, 32),
        ({**LLAMA, "model_type": "mistral", "sliding_window": None}, 0, None),
        ({**LLAMA, "sliding_window": 4096, "use_sliding_window": False}, 0, None),
        (
            {
                **LLAMA,
                "sliding_window": 4096,
                "use_sliding_window": True,
                "max_window_layers": 28,
            },
            4096,
            4,
        ),
        ({**LLAMA, "model_type": "new", "sliding_window": 4096}, 4096, None),
        (
            {
                **LLAMA,
                "sliding_window": 128,
                "layer_types": ["sliding_attention", "full_attention"] * 16,
            },
            128,
            16,
        ),
        (
            {**LLAMA, "sliding_window": 1, "layer_types": ["full_attention"] * 32},
            0,
            None,
        ),
        (
            {
                **LLAMA,
                "attention_chunk_size": 8192,
                "layer_types": ["chunked_attention"] * 24 + ["full_attention"] * 8,
            },
            8192,
            24,
        ),
    ],
)
def test_windows_are_counted_by_layer(config, window, layers):
    found = shape(**config)

    assert (found.sliding_window, found.sliding_layers) == (window, layers)


@pytest.mark.parametrize(
    ("extra", "stateful"),
    [
        ({}, 0),
        ({"layer_types": ["linear_attention"] * 24 + ["full_attention"] * 8}, 24),
        ({"full_attention_interval": 4, "linear_num_key_heads": 16}, 24),
        ({"attn_layer_period": 8, "mamba_d_state": 16}, 28),
        ({"hybrid_override_pattern": "M-M*" * 8}, 24),
        ({"mamba_d_state": 16}, None),
        ({"rwkv_version": 7}, None),
    ],
)
def test_layers_with_a_fixed_state_have_no_growing_cache(extra, stateful):
    assert shape(**LLAMA, **extra).stateful_layers == stateful


@pytest.mark.parametrize(
    ("rope", "expected"),
    [
        (None, 131072),
        ({"rope_type": "llama3", "factor": 8.0}, 131072),
        ({"type": "linear", "factor": 2}, 262144),
        (
            {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 32768,
            },
            131072,
        ),
        ({"rope_type": "yarn", "factor": "4"}, 131072),
    ],
)
def test_stretched_positions_are_those_that_servers_take(rope, expected):
    assert shape(**{**LLAMA, "rope_scaling": rope}).max_positions == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"num_attention_heads": 32}, 32),
        ({"n_head": 71, "multi_query": True}, 1),
        ({"n_head": 64, "multi_query": True, "new_decoder_architecture": True}, 64),
        ({"n_head": 64, "n_head_kv": 8}, 8),
        ({"num_attention_heads": 32, "multi_query_group_num": 2}, 2),
    ],
)
def test_key_value_heads_go_by_many_names(config, expected):
    assert shape(**config).kv_heads == expected


@pytest.mark.parametrize("bad", [0, -1, True, "32", 3.5, 1 << 60, None, [32]])
def test_numbers_that_are_none_stay_unknown(bad):
    found = shape(num_hidden_layers=bad, num_attention_heads=bad)

    assert (found.layers, found.heads, found.kv_lora_rank) == (None, None, None)


@pytest.mark.parametrize(
    ("sizes", "weights", "kind"),
    [
        ({"a.safetensors": 5, "b.safetensors": 6, "x/c.safetensors": 7}, 11, "st"),
        ({"m-00001-of-00002.gguf": 5, "m-00002-of-00002.gguf": 6}, 11, "gguf"),
        ({"m-Q4_K_M.gguf": 5, "m-Q8_0.gguf": 9}, None, "gguf"),
        ({"m-Q4_K_M.gguf": 5, "mmproj-m.gguf": 9}, 5, "gguf"),
        ({"pytorch_model.bin": 5, "training_args.bin": 1}, 5, None),
        ({"README.md": 5}, None, None),
    ],
)
def test_only_what_a_server_loads_is_weighed(sizes, weights, kind):
    found = serving_needs("chat", files(**sizes))

    assert found.weights_size == weights
    assert found.format == {"st": "safetensors"}.get(kind, kind)


def test_shards_that_the_index_names_and_nobody_has_are_missed_early():
    index = text_file(
        "model.safetensors.index.json", {"weight_map": {"a": "a.safetensors", "b": "b"}}
    )

    with pytest.raises(SourceContentError, match="not there"):
        serving_needs("chat", [index, *files(**{"a.safetensors": 5})])
