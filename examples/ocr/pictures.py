"""Pictures to read: words on a plain ground, drawn here so that nothing has to be shipped."""

from __future__ import annotations

import io
import random
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

__all__ = ["Picture", "draw", "pictures"]

_WORDS = (
    "Anchor Basket Bridge Candle Carpet Cement Copper Corner Cotton Dinner Engine Family Garden "
    "Hammer Harbor Jacket Kitchen Ladder Lemon Magnet Market Number Orange Packet Pencil "
    "Planet Pocket Rabbit Ribbon River Saddle Salmon Signal Silver Spring Summer Tablet Temple "
    "Ticket Timber Tunnel Valley Velvet Wagon Window Winter Yellow"
)
# Paper and ink.
_COLORS = (
    ("white", "black"),
    ("#fff8dc", "#102a43"),
    ("#102a43", "#f0f4f8"),
    ("#e3f9e5", "#7b1e1e"),
)


class Picture(NamedTuple):
    """A PNG file, and what is written on it: lines joined by newlines."""

    png: bytes
    text: str


def draw(text: str, paper: str = "white", ink: str = "black") -> Picture:
    """Writes the lines of ``text`` one below the other, in the font that Pillow brings along."""
    font = ImageFont.load_default(28)
    lines = text.splitlines()
    width = max(round(font.getlength(line)) for line in lines) + 32
    image = Image.new("RGB", (width, 44 * len(lines) + 20), paper)
    pen = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        pen.text((16, 14 + 44 * row), line, font=font, fill=ink)
    file = io.BytesIO()
    image.save(file, "PNG")
    return Picture(file.getvalue(), text)


def pictures(count: int, seed: int = 1) -> list[Picture]:
    """That many pictures with two lines each; the same ones for the same seed."""
    rng, words = random.Random(seed), _WORDS.split()
    return [draw(f"{rng.choice(words)}\n{rng.randint(1000, 9999)}", *rng.choice(_COLORS)) for _ in range(count)]
