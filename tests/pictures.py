"""Pictures for tests: red on the left, blue on the right, so that one sees how they are turned."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from tests.server import Body

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
# 64 x 32, written by pillow-heif: the decoder that the program has can't write.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAA"
    "AAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAAGoAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABo"
    "dmMxAAAAAA5waXRtAAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEA"
    "GEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAA"
    "AwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAAB"
    "AAAAIAAAAAEAAAAAAAAAAv///+AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAAHJt"
    "ZGF0AAAAZigBrxOA+BDhp//8TSj/+nXPD9PMiYn/+tNSR/hUO//WicPySkWzrHl9nv8H4h1KpEq3xpK+HfM2sf+d4tvF"
    "AhneIy6JZXLEP+zlxMa+qdw77mN6fapRbf83mqG4xuGn3Gx6O58SuA=="
)


def picture(width: int = 64, height: int = 32, left: tuple[int, ...] = RED) -> Image.Image:
    """Draw one."""
    drawn = Image.new("RGBA" if len(left) == 4 else "RGB", (width, height), left)
    drawn.paste(BLUE, (width // 2, 0, width, height))
    return drawn


def lying(path: Path, width: int = 64, height: int = 32) -> Path:
    """Write a photo of a camera that lay on its side: it is upright when turned by what it says."""
    exif = Image.Exif()
    exif[274] = 6
    picture(width, height).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    return path


def scan(path: Path, pages: int = 1, width: int = 620, height: int = 877) -> Path:
    """Write a PDF as a scanner does, 75 pixels to the inch: pages that are nothing but pictures."""
    drawn = [picture(width, height) for _ in range(pages)]
    drawn[0].save(path, save_all=True, append_images=drawn[1:], resolution=75)
    return path


def write(folder: Path, *names: str, width: int = 64, height: int = 32) -> None:
    """Write files of the formats that their names say."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".heic":
            path.write_bytes(HEIC)
        else:
            picture(width, height).save(path)


def parts(body: Body) -> list[dict[str, Any]]:
    """List the parts of all messages that have parts."""
    contents = [message["content"] for message in body["messages"]]  # type: ignore[attr-defined]
    return [part for content in contents if isinstance(content, list) for part in content]


def urls(body: Body) -> list[str]:
    """List the addresses of a body's images."""
    return [part["image_url"]["url"] for part in parts(body) if part["type"] == "image_url"]


def seen(body: Body) -> Iterator[Image.Image]:
    """Decode the images that a body holds, as a server does."""
    for url in urls(body):
        head, _, data = url.partition(";base64,")
        found = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
        assert head == f"data:image/{(found.format or '').lower()}"
        yield found.convert("RGB")


def colours(image: Image.Image) -> tuple[str, str]:
    """Name what is on the left and on the right."""
    middle = image.height // 2
    return _name(image, image.width // 4, middle), _name(image, image.width * 3 // 4, middle)


def _name(image: Image.Image, x: int, y: int) -> str:
    pixel = image.convert("RGB").getpixel((x, y))
    assert isinstance(pixel, tuple)
    near = {"red": RED, "blue": BLUE, "white": WHITE, "black": (0, 0, 0)}
    return min(
        near, key=lambda name: sum(abs(a - b) for a, b in zip(pixel, near[name], strict=True))
    )
