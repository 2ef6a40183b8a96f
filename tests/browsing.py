"""A page opened in Chromium, for tests that are skipped where there is none."""

from __future__ import annotations

import base64
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--autoplay-policy=no-user-gesture-required")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "device_scale_factor": 2}
COLOUR = """source => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(source, 0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""
"""The mean colour of a picture, a video or a canvas, 0 to 255 of red, green and blue."""


@contextmanager
def browsing(path: Path, fragment: str = "", still: bool = True, **settings: Any) -> Iterator[Page]:
    """The page of a file in a browser without a network; it may ask for nothing, and complain of nothing.

    It is ``still`` for a reader who asked for less motion: videos do not play by themselves.
    """
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        motion = "reduce" if still else "no-preference"
        context = browser.new_context(**{"offline": True, "reduced_motion": motion, **settings})
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url[:80]) if is_outside(request.url, path) else None)
        page.goto(path.absolute().as_uri() + fragment)
        yield page
        browser.close()
    assert not wrong, wrong


def until(page: Page, expression: str) -> None:
    """Waits until JavaScript is true; what Playwright has for that needs a policy that lets scripts evaluate words."""
    end = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)


def is_outside(address: str, path: Path) -> bool:
    """Whether it is neither the page at ``path`` nor within it."""
    return not address.startswith((path.absolute().as_uri(), "data:", "blob:"))


def width_of(page: Page) -> int:
    """How wide the page is, pixels: no wider than the screen, or it has to be shifted."""
    return page.evaluate("document.documentElement.scrollWidth")


def unpacked(text: str, columns: int) -> list[np.ndarray]:
    """What ``packed`` was given, int64."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(columns, 4, -1)
    steps = np.ascontiguousarray(planes.transpose(0, 2, 1)).view("<i4")[..., 0]
    return list(steps.astype(np.int64).cumsum(1))
