"""The inputs of the benchmark: valid, the same every time, and like the real ones."""

from __future__ import annotations

from pathlib import Path

import making
import numpy as np
import pytest
from benchmark import entropy
from benchmark.dtypes import FORMS
from benchmark.huge import make_huge
from benchmark.smallfiles import make_tree
from benchmark.tools import digests
from benchmark.weights import in_memory, make_model, part_of
from safetensors import safe_open
from sealift_bundler.encode import encode
from sealift_manifests.index import parse_index

MIB = 1 << 20


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("dtype", FORMS)
def test_weights_are_models_of_about_the_size_asked_for(tmp_path, dtype):
    model = make_model(tmp_path, 8 * MIB, dtype)

    shards = sorted(model.glob("*.safetensors"))
    names = []
    for shard in shards:
        with safe_open(shard, "numpy") as file:
            names += file.keys()
    assert len(names) == len(set(names)) >= len(shards) == 4
    assert sum(s.stat().st_size for s in shards) == pytest.approx(8 * MIB, rel=0.1)


def test_the_same_arguments_give_the_same_weights(tmp_path):
    one = make_model(tmp_path / "one", 4 * MIB, "int4")
    two = make_model(tmp_path / "two", 4 * MIB, "int4")

    assert files_of(one) == files_of(two)


def test_a_smaller_model_is_the_first_shards_of_a_larger_one(tmp_path):
    model = make_model(tmp_path, 4 * MIB, "bf16", 4)

    part = part_of(model, tmp_path / "part", 2)

    assert len(list(part.glob("*.safetensors"))) == 2
    assert files_of(part).items() <= files_of(model).items()


def test_one_gaussian_has_the_entropy_that_theory_gives_it(tmp_path):
    model = make_model(tmp_path, 16 * MIB, "bf16-gauss")

    assert entropy.of_planes(model, 2) == pytest.approx(0.665, abs=0.002)


def test_eight_bit_floats_are_those_of_the_standard():
    values = np.array([[448, -448, 1, 1.0625, 1.07, 2**-9, 0]], dtype=np.float32)

    codes, scales = list(FORMS["fp8"].stored([values]))

    assert list(codes) == [0x7E, 0xFE, 0x38, 0x38, 0x39, 0x01, 0x00]
    assert np.frombuffer(scales, "<f4") == [1.0]


def test_four_bit_codes_are_spread_like_weights():
    data = in_memory("int4", MIB)

    nibbles = np.frombuffer(data, "u1")[: MIB // 2]
    counts = np.bincount(np.concatenate((nibbles & 15, nibbles >> 4)), minlength=16)
    assert counts[0] == 0  # From -7 to 7: one code of sixteen is not used.
    assert counts[8] == counts.max() > 5 * counts[1] > 0
    assert 0.7 < len(encode(data, 4).stored) / len(data) < 0.95


def test_small_files_are_as_many_as_asked_for_and_the_same_every_time(tmp_path):
    one, two = make_tree(tmp_path / "one", 300), make_tree(tmp_path / "two", 300)

    assert len(files_of(one)) == 300
    assert files_of(one) == files_of(two)


def test_a_bundle_without_its_packs_can_be_inspected(tmp_path, key):
    bundle = make_huge(tmp_path / "bundle", 12 * 10**9, key.private)

    index = parse_index((bundle / "index.json").read_bytes())
    seen = making.sealift("inspect", bundle, "--key", key.public)
    assert sum(content.size for content in index.contents.values()) == 12 * 10**9
    assert len(index.packs) == 2
    seen.expect(0, "huge 1.0.0", "11.2 GiB installed", "3 files")


def test_every_file_is_hashed_with_one_program_for_each_core(tmp_path):
    files = {f"{n} of many": f"{n}".encode() for n in range(5)}
    making.write_files(tmp_path, files)

    said = making.run(digests(tmp_path)).expect(0).out

    assert sorted(line.split(")=")[0] for line in said.splitlines()) == [
        f"SHA2-256(./{name}" for name in sorted(files)
    ]
