"""A Modelfile: what it says, and what is wrong with it, line by line."""

from __future__ import annotations

import pytest
from sealift_bundler.ollama.create import human_count
from sealift_bundler.ollama.modelfile import parse_modelfile
from sealift_manifests.errors import SpecError

WHOLE = '''# made by hand
FROM ./model.gguf
  adapter ./lora.gguf

PARAMETER temperature 0.7
parameter stop "<|eot|>"
PARAMETER stop User:
PARAMETER num_ctx 4096
PARAMETER use_mmap False
PARAMETER mirostat 1
TEMPLATE """{{ if .System }}# {{ .System }}
{{ end }}{{ .Prompt }}"""
SYSTEM "You are
kind."
LICENSE """
MIT
"""
LICENSE Apache-2.0
MESSAGE user hello there
MESSAGE assistant """hi
you"""
REQUIRES 0.14.0
'''


def faults(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_modelfile(text, "Modelfile")
    return caught.value.message.splitlines()


def test_every_instruction_is_understood_as_ollama_does():
    said = parse_modelfile(WHOLE, "Modelfile")

    assert [(w.written, w.line) for w in said.weights] == [("./model.gguf", 2)]
    assert [a.written for a in said.adapters] == ["./lora.gguf"]
    assert said.parameters == {
        "temperature": 0.7,
        "stop": ["<|eot|>", "User:"],
        "num_ctx": 4096,
        "use_mmap": False,
    }
    assert said.texts == {
        "template": "{{ if .System }}# {{ .System }}\n{{ end }}{{ .Prompt }}",
        "system": "You are\nkind.",
        "requires": "0.14.0",
    }
    assert said.licenses == ["\nMIT\n", "Apache-2.0"]
    assert said.messages == [
        {"role": "user", "content": "hello there"},
        {"role": "assistant", "content": "hi\nyou"},
    ]
    assert said.notes == ["parameter mirostat is ignored by today's Ollama: left out"]


def test_all_faults_are_told_at_once_with_their_lines():
    text = """FROM ./m.gguf
PARAMETER temprature 1
PARAMETER num_ctx many
PARAMETER use_mmap perhaps
PARAMETER top_p nan
TOOLS none
MESSAGE robot hi
SYSTEM one
SYSTEM two
PARAMETER seed
LICENSE
TEMPLATE \"\"\"never
ends
"""

    found = faults(text)

    assert [line.split(":")[1] for line in found] == [
        *("2", "3", "4", "5", "6", "7", "9", "10", "11", "12")
    ]
    assert "allowed:" in found[0] and "temperature" in found[0]
    assert "true or false" in found[2]
    assert "unknown" in found[4] and "PARAMETER" in found[4]
    assert "has no end" in found[-1]


def test_a_modelfile_without_a_model_says_how_to_name_one():
    assert faults("SYSTEM hi\n") == [
        "Modelfile:1: has no FROM; name the GGUF file: FROM ./model.gguf"
    ]


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (999, "999"),
        (4096, "4K"),
        (361_821_120, "361.82M"),
        (8_030_261_312, "8.0B"),
        (70_000_000_000, "70B"),
        (1_400_000_000_000, "1.4T"),
    ],
)
def test_numbers_of_parameters_are_shown_as_ollama_shows_them(count, shown):
    assert human_count(count) == shown


def test_a_text_keeps_its_blanks_and_its_own_breaks():
    text = 'FROM ./m.gguf\nSYSTEM """Be kind.  \nPage\x0cfeed\u2028end. \n"""  \n'

    found = parse_modelfile(text, "Modelfile")

    assert found.texts["system"] == "Be kind.  \nPage\x0cfeed\u2028end. \n"
