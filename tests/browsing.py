"""A page opened in Chromium, for tests that are skipped where there is none."""

from __future__ import annotations

import http.server
import os
import shutil
import signal
import subprocess
import threading
import urllib.parse
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BROWSER_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required --remote-debugging-port=0"
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
PROBE = """<iframe src="/report" width="WIDTH" height="600"></iframe>
<script>
const frame = document.querySelector("iframe");
const seen = new Set();
setInterval(() => {
  const video = frame.contentDocument.querySelector("video"), image = frame.contentDocument.querySelector("img");
  if (video && video.readyState > 1) seen.add("video " + colour(video));
  if (image && image.complete) seen.add("image " + colour(image));
  const images = [...frame.contentDocument.images];
  if (images.every(image => image.complete && image.naturalWidth)) seen.add(images.length + " images");
  if (video && video.currentTime > 0.1) seen.add("video plays");
  const wide = frame.contentDocument.documentElement.scrollWidth;
  if (video && wide <= frame.clientWidth) seen.add("as wide as the screen");
  const cells = [...frame.contentDocument.querySelectorAll("td")].map(cell => cell.getBoundingClientRect());
  seen.add(cells.filter(cell => cell.width && cell.left >= 0 && cell.right <= wide).length + " cells in sight");
  fetch("/seen?" + encodeURIComponent([...seen].join(",")));
}, 100);
function colour(source) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d");
  pen.drawImage(source, 0, 0, 1, 1);
  const [r, g, b] = pen.getImageData(0, 0, 1, 1).data;
  return r > g && r > b ? "red" : g > b ? "green" : "blue";
}
</script>"""
"""A page around the report that tells the server what it has seen so far: colours of its first image and its video,
how many images there are once all are shown, whether the video plays, and what lies within its width."""


def browse(page: str, wanted: set[str], folder: Path, width: int = 900) -> None:
    """Opens ``page``, ``width`` pixels wide, until all that is ``wanted`` was seen of it, see ``PROBE``; it must have
    asked for nothing."""
    asked: list[str] = []
    good = threading.Event()

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(urllib.parse.unquote(self.path))
            if wanted <= set(asked[-1].partition("?")[2].split(",")):
                good.set()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write({"/": PROBE.replace("WIDTH", str(width)), "/report": page}.get(self.path, "").encode())

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [str(CHROMIUM), *BROWSER_FLAGS.split(), f"--user-data-dir={folder / 'profile'}"]
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        with (folder / "browser.log").open("wb") as log:
            browser = subprocess.Popen([*command, address], stdout=log, stderr=log, start_new_session=True)
        try:
            assert good.wait(100), (asked[-1:], (folder / "browser.log").read_text()[-2000:])
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
            server.shutdown()
    assert {path.split("?")[0] for path in asked} <= {"/", "/report", "/seen", "/favicon.ico"}
