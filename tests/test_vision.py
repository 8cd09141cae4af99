"""The tokens of a picture: the examples of OpenAI's guide, and what holds for all sizes.

https://developers.openai.com/api/docs/guides/images-vision
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.types import Detail, Image
from pipeline.vision import rule

sides = st.integers(1, 100_000)
details = st.sampled_from(["auto", "low", "high", "original"])
models = st.sampled_from(["gpt-6-luna", "gpt-4o", "gpt-4.1-mini", "gpt-5.4", "qwen3-vl"])


def image(width: int, height: int, detail: Detail = "high") -> Image:
    return Image("photo.jpg", b"", width, height, detail=detail)


@pytest.mark.parametrize(
    ("model", "width", "height", "detail", "tokens"),
    [
        # Worked out in the guide.
        ("gpt-5.4", 1024, 1024, "high", 1229),
        ("gpt-5.4", 2048, 2048, "high", 3000),
        ("gpt-6-luna", 2048, 2048, "high", 3000),
        # By its rules: 1024 x 1024 is 768 x 768, which is 2 x 2 tiles; 2048 x 4096 is 768 x 1536.
        ("gpt-4o", 1024, 1024, "high", 85 + 4 * 170),
        ("gpt-4o", 2048, 4096, "high", 85 + 6 * 170),
        ("gpt-4o", 4096, 8192, "low", 85),
        ("gpt-4.1", 512, 512, "auto", 85 + 170),
        ("gpt-4o-mini", 1024, 1024, "high", 2833 + 4 * 5667),
        ("gpt-4o-mini", 1024, 1024, "low", 2833),
        ("gpt-5.1", 1024, 1024, "high", 70 + 4 * 140),
        ("gpt-5", 513, 512, "high", 70 + 2 * 140),
        ("o3", 100, 100, "high", 75 + 150),
        # 33 x 65 is 2 x 3 patches; 512 pixels are 16 patches.
        ("gpt-5.6-luna", 33, 65, "auto", 8),
        ("gpt-6-luna", 4000, 4000, "low", 308),
        ("gpt-4.1-mini", 1024, 1024, "high", 1659),
        ("gpt-4.1-nano", 1024, 1024, "high", 2520),
        ("gpt-5-nano", 1024, 1024, "high", 1536),
        ("o4-mini", 1024, 1024, "high", 1762),
        ("gpt-5.5", 8000, 8000, "original", 12_000),
        ("openai/gpt-6-luna", 1024, 1024, "high", 1229),
        ("ft:gpt-4o-2024-08-06:us:x", 1024, 1024, "high", 85 + 4 * 170),
        # Of others: 37 x 37 squares of 28 pixels, and a fifth more.
        ("qwen3-vl-30b", 1024, 1024, "high", 1643),
    ],
)
def test_a_picture_has_the_tokens_that_the_models_rule_gives_it(
    model: str, width: int, height: int, detail: Detail, tokens: int
) -> None:
    assert rule(model).tokens(image(width, height, detail)) == tokens


@pytest.mark.parametrize(
    ("model", "detail", "tokens"),
    [
        ("gpt-6-luna", "low", 308),
        ("gpt-6-luna", "high", 3000),
        ("gpt-6-luna", "auto", 3000),
        ("gpt-6-luna", "original", 36_000),
        ("gpt-5.4", "low", 4916),  # its `low` goes by pixels alone, up to 2048 x 2048
        ("gpt-5.4", "original", 12_000),
        ("gpt-4o", "low", 85),
        ("gpt-4o", "high", 85 + 8 * 170),
    ],
)
def test_a_picture_of_unknown_size_has_the_most(model: str, detail: Detail, tokens: int) -> None:
    assert rule(model).tokens(Image("https://a.example/b.png", b"", detail=detail)) == tokens


@given(sides, sides, details, models)
def test_what_is_sent_has_the_tokens_that_were_counted(
    width: int, height: int, detail: Detail, model: str
) -> None:
    given_rule, asked = rule(model), image(width, height, detail)
    size = given_rule.fit((width, height), detail)
    assert given_rule.fit(size, detail) == size
    assert given_rule.tokens(image(*size, detail)) == given_rule.tokens(asked)
    assert given_rule.tokens(replace(asked, width=height, height=width)) == given_rule.tokens(asked)


@given(sides, sides, details, models)
def test_what_is_sent_is_never_larger_and_looks_the_same(
    width: int, height: int, detail: Detail, model: str
) -> None:
    across, down = rule(model).fit((width, height), detail)
    assert 1 <= across <= width
    assert 1 <= down <= height
    # Rounding a side down changes the shape by a pixel at most.
    assert abs(across * height - down * width) <= 1.01 * max(width, height) + across + down


@given(sides, sides, details, models)
def test_no_picture_has_more_tokens_than_one_of_unknown_size(
    width: int, height: int, detail: Detail, model: str
) -> None:
    assume((model, detail) != ("gpt-4.1-mini", "original"))  # it refuses that
    most = rule(model).tokens(Image("https://a.example/b.png", b"", detail=detail))
    assert rule(model).tokens(image(width, height, detail)) <= most


@given(sides, sides)
def test_a_server_need_not_scale_what_is_sent(width: int, height: int) -> None:
    across, down = rule("gpt-6-luna").fit((width, height), "high")
    assert max(across, down) <= 2048
    assert math.ceil(across / 32) * math.ceil(down / 32) <= 2500
