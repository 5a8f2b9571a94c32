"""NVIDIA_REQUIRE_*, evaluated as the toolkit does."""

from __future__ import annotations

import pytest
from preflight_making import published
from sealift_manifests.preflight.needs import Variable
from sealift_manifests.preflight.require import (
    Properties,
    Verdict,
    evaluate,
    is_disabled,
    requirements,
)

H100_ON_550 = Properties(cuda="12.4", driver="550.54.15", arch="9.0", brand="nvidia")


def met(expression: str, properties: Properties = H100_ON_550, dialect: str = "c"):
    """Evaluate one variable."""
    variables = [Variable("NVIDIA_REQUIRE_CUDA", expression)]
    return evaluate(variables, properties, dialect).met


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cuda>=12.4", True),
        ("cuda>=12.5", False),
        ("cuda>=9.0", True),
        ("cuda>12.4", False),
        ("cuda<=12.4", True),
        ("cuda<12.10", True),
        ("cuda=12.4", True),
        ("cuda=12.4.0", True),
        ("cuda!=12.4", False),
        ("driver>=550", True),
        ("driver<551", True),
        ("driver<550", False),
        ("driver>=550,driver<551", True),
        ("driver>=535,driver<536", False),
        ("arch>=8.0", True),
        ("arch>=10.0", False),
        ("brand=nvidia", True),
        ("brand=tesla", False),
        ("brand!=tesla", True),
        ("cuda>=13.0 brand=nvidia,driver>=550,driver<551", True),
        ("cuda>=13.0 brand=tesla,driver>=550,driver<551", False),
        ("cuda>=13.0  brand=nvidia", True),
    ],
)
def test_a_comma_is_and_and_a_space_is_or(expression, expected):
    assert met(expression) is expected


def test_a_driver_of_470_82_is_below_471():
    assert met("driver<471", Properties(driver="470.82.01")) is True


def test_all_variables_must_hold():
    good, bad = Variable("NVIDIA_REQUIRE_A", "cuda>=12.0"), "driver>=600 driver>=700"

    result = evaluate([good, Variable("NVIDIA_REQUIRE_B", bad)], H100_ON_550)

    assert result == Verdict(False, unmet="driver>=600")


@pytest.mark.parametrize(
    ("expression", "in_c", "in_go"),
    [
        ("brand=NVIDIA", True, False),
        ("CUDA>=13.0", False, True),
        ("colour=red", "fault", True),
        ("colour=red,cuda>=13.0", "fault", False),
        ("cuda", "fault", "fault"),
        ("brand>=nvidia", "fault", False),
        ("cuda>=twelve", "fault", "fault"),
    ],
)
def test_the_two_evaluators_differ_as_they_do_in_the_field(expression, in_c, in_go):
    for dialect, expected in (("c", in_c), ("go", in_go)):
        result = evaluate(
            [Variable("NVIDIA_REQUIRE_X", expression)], H100_ON_550, dialect
        )

        assert ("fault" if result.fault else result.met) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("brand=tesla,driver>=550", None),
        ("brand=tesla,driver>=600", False),
        ("cuda>=12.0 brand=tesla", True),
        ("cuda>=13.0 brand=tesla", None),
    ],
)
def test_what_is_not_known_makes_unknown_only_where_it_decides(expression, expected):
    properties = Properties(cuda="12.4", driver="550.54.15", brand=None)

    assert met(expression, properties) is expected


def test_an_image_with_cuda_version_alone_counts_as_an_old_one():
    assert requirements([], "12.8.1") == (
        Variable("NVIDIA_REQUIRE_CUDA", "cuda>=12.8"),
    )
    assert requirements([], "") == ()
    cleared = [Variable("NVIDIA_REQUIRE_CUDA", "")]
    assert requirements(cleared, "12.8.1")[0].value == "cuda>=12.8"
    given = Variable("NVIDIA_REQUIRE_CUDA", "cuda>=12.0")
    assert requirements([given], "12.8.1") == (given,)


def test_jetpack_and_other_variables_do_not_count():
    others = [Variable("NVIDIA_REQUIRE_JETPACK", "x"), Variable("NVIDIA_VISIBLE", "x")]

    assert requirements(others, "") == ()


@pytest.mark.parametrize("value", ["1", "t", "T", "true", "TRUE", "True"])
def test_gos_words_for_true_switch_requirements_off(value):
    assert is_disabled(value)


@pytest.mark.parametrize("value", ["0", "false", "yes", "on", "tRUE", " 1", "", None])
def test_other_words_switch_nothing_off(value):
    assert not is_disabled(value)


@pytest.mark.parametrize(
    ("cuda", "properties", "expected"),
    [
        ("11.8", Properties("11.4", "470.82.01", "7.5", "nvidia"), True),
        ("11.8", Properties("11.6", "510.47.03", "7.5", "nvidia"), False),
        ("12.1", Properties("11.0", "450.80.02", "7.5", "tesla"), True),
        ("12.1", Properties("11.0", "450.80.02", "7.5", "nvidia"), False),
        ("12.2", Properties("12.0", "525.85.12", "8.6", "geforce"), True),
        ("12.4", Properties("12.2", "535.54.03", "8.9", "geforce"), True),
        ("12.6", Properties("12.4", "550.54.15", "8.9", "geforce"), False),
        ("12.6", Properties("12.4", "550.54.15", "9.0", "nvidia"), True),
        ("12.8", Properties("12.7", "565.57.01", "9.0", "nvidia"), True),
        ("12.8", Properties("12.5", "555.42.06", "9.0", "nvidia"), False),
        ("12.9", Properties("12.8", "570.124.06", "8.9", "geforce"), False),
        ("12.9", Properties("12.8", "570.124.06", "8.9", "nvidiartx"), True),
        ("12.9", Properties("12.9", "575.57.08", "8.9", "geforce"), True),
        ("13.0", Properties("12.9", "575.57.08", "8.9", "vws"), True),
        ("13.0", Properties("12.6", "560.35.03", "8.9", "nvidia"), False),
        ("13.2", Properties("13.1", "590.48.01", "10.0", "nvidia"), True),
        ("13.2", Properties("13.2", "595.71.05", "12.0", "geforce"), True),
    ],
)
def test_the_values_of_published_images_let_in_whom_they_should(
    cuda, properties, expected
):
    assert met(published(cuda), properties) is expected
