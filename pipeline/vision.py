"""How models see: the size that a picture is sent in, and the tokens that it is.

The rules are those of https://developers.openai.com/api/docs/guides/images-vision (November 2026).
Other makers have rules of their own, and mostly take fewer tokens than are counted for them here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from pipeline.types import Detail, Image
from pipeline.vendors import plain_name

Size = tuple[int, int]  # width and height, in pixels

LOW_PIXELS = 512  # the longest side at `low`
HIGH_PIXELS, HIGH_PATCHES = 2048, 2500
ORIGINAL_PIXELS, ORIGINAL_PATCHES = 6000, 10_000
_PATCH, _TILE, _SHORT_SIDE = 32, 512, 768


@dataclass(frozen=True, slots=True)
class Tiles:
    """`base` tokens for a picture and `tile` for each square of 512 pixels that it covers."""

    base: int
    tile: int

    def fit(self, size: Size, detail: Detail) -> Size:
        """Return the size to send: within 2048 pixels, the shorter side within 768."""
        if detail == Detail.LOW:
            return _within(size, LOW_PIXELS)
        width, height = _within(size, HIGH_PIXELS)
        short = min(width, height)
        if short <= _SHORT_SIDE:
            return width, height
        return width * _SHORT_SIDE // short, height * _SHORT_SIDE // short

    def tokens(self, image: Image) -> int:
        """Count the tokens of a picture; of one whose size isn't known, the most."""
        if image.detail == Detail.LOW:
            return self.base
        if not image.width:
            return self.base + self.tile * (HIGH_PIXELS // _TILE) * math.ceil(_SHORT_SIDE / _TILE)
        width, height = self.fit((image.width, image.height), image.detail)
        return self.base + self.tile * math.ceil(width / _TILE) * math.ceil(height / _TILE)


@dataclass(frozen=True, slots=True)
class Patches:
    """`hundredths` of a token for each square of `side` pixels that a picture covers.

    `low`, `high` and `original` are the most patches that the model itself makes of a picture.
    """

    hundredths: int
    low: int = (LOW_PIXELS // _PATCH) ** 2
    high: int = HIGH_PATCHES
    original: int = 30_000
    side: int = _PATCH

    def fit(self, size: Size, detail: Detail) -> Size:
        """Return the size to send: within what the detail allows, by pixels and by patches."""
        if detail == Detail.LOW:
            return _within(size, LOW_PIXELS)
        if detail == Detail.ORIGINAL:
            return _within_patches(_within(size, ORIGINAL_PIXELS), ORIGINAL_PATCHES)
        return _within_patches(_within(size, HIGH_PIXELS), HIGH_PATCHES)

    def tokens(self, image: Image) -> int:
        """Count the tokens of a picture; of one whose size isn't known, the most."""
        if not image.width:
            most = {Detail.LOW: self.low, Detail.ORIGINAL: self.original}
            return self._price(most.get(image.detail, self.high))
        width, height = self.fit((image.width, image.height), image.detail)
        return self._price(math.ceil(width / self.side) * math.ceil(height / self.side))

    def _price(self, patches: int) -> int:
        return -(-patches * self.hundredths // 100)


Rule = Tiles | Patches

# These resize by pixels alone, whatever the detail.
_ALL = (HIGH_PIXELS // _PATCH) ** 2
_RULES: tuple[tuple[str, Rule], ...] = (
    (r"gpt-4o-mini", Tiles(2833, 5667)),
    (r"gpt-4\.1-mini", Patches(162, _ALL, _ALL, _ALL)),
    (r"gpt-4\.1-nano", Patches(246, _ALL, _ALL, _ALL)),
    (r"gpt-4|chatgpt-4", Tiles(85, 170)),
    (r"o4-mini", Patches(172, _ALL, _ALL, _ALL)),
    (r"o\d", Tiles(75, 150)),
    (r"gpt-5-nano", Patches(150, _ALL, _ALL, _ALL)),
    (r"gpt-5(-mini|\.[23])", Patches(120, _ALL, _ALL, _ALL)),
    (r"gpt-5\.4", Patches(120, low=_ALL, original=ORIGINAL_PATCHES)),
    (r"gpt-5\.5", Patches(120, original=ORIGINAL_PATCHES)),
    (r"gpt-5(\.1)?(-|$)", Tiles(70, 140)),
    (r"gpt-[5-9]", Patches(120)),
)
# The finest that is in wide use (Qwen-VL and InternVL: 28 pixels), and a fifth for safety.
_FINEST = 28
_UNKNOWN = Patches(
    120,
    low=math.ceil(HIGH_PIXELS / _FINEST) ** 2,
    high=math.ceil(HIGH_PIXELS / _FINEST) ** 2,
    original=math.ceil(ORIGINAL_PIXELS / _FINEST) ** 2,
    side=_FINEST,
)


def rule(model: str) -> Rule:
    """Find a model's rule; for one that isn't known, one that counts more than most."""
    name = plain_name(model).removeprefix("ft:")
    return next((found for pattern, found in _RULES if re.match(pattern, name)), _UNKNOWN)


def largest(size: Size) -> Size:
    """Return the largest size that any model is sent of a picture."""
    return _UNKNOWN.fit(size, Detail.ORIGINAL)


def _within(size: Size, longest: int) -> Size:
    width, height = size
    long = max(size)
    if long <= longest:
        return size
    return max(1, round(width * longest / long)), max(1, round(height * longest / long))


def _within_patches(size: Size, budget: int) -> Size:
    """Scale down to a number of patches, by the guide's formula."""
    width, height = size
    if math.ceil(width / _PATCH) * math.ceil(height / _PATCH) <= budget:
        return size
    shrink = math.sqrt(_PATCH**2 * budget / (width * height))
    across, down = width * shrink / _PATCH, height * shrink / _PATCH
    shrink *= min(math.floor(across) / across, math.floor(down) / down)
    return math.floor(width * shrink), math.floor(height * shrink)
