"""Pages in headless Chromium: nothing in the console, no request, and nothing wider than the screen."""

import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import xccd
from xccd.pictures.page import POLICY

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
WORDS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--hide-scrollbars", "--disable-background-networking", "--disable-component-update")  # fmt: skip
MEASURE = "<script>parent.postMessage([document.documentElement.scrollWidth, innerWidth], '*')</script>"
# A window of Chromium is no narrower than 500 pixels, a frame within it is.
AROUND = """<!doctype html><title>none</title><iframe src="copy.html" width="{}" height="900" style="border:0"></iframe>
<script>onmessage = (event) => {{ document.title = JSON.stringify(event.data) }}</script>"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    size = {"nbias": 3, "ndark": 3, "nflat": 3, "nlight": 6}
    night = xccd.simulate_night(folder / "raw", shape=(80, 96), **size)
    stack = xccd.open_stack(night / "light-r-*.fits", chunks=None)
    long = np.array([f"/a/very/long/folder/{'x' * 90}-{i}.fits" for i in range(6)], object)
    clipped = stack.ccd.sigma_clip(4, 4, center="median", deviation="mad_std").assign_coords(file=("frame", long))
    xccd.reduce(night, output=folder / "products")
    image = xccd.open_image(next((folder / "products").glob("*.fits")))
    return {
        "stack": clipped.ccd.report(folder / "stack.html"),
        "product": image.ccd.report(folder / "product.html"),
        "night": folder / "products/report.html",
    }


def browse(place: str, width: int, *words: str) -> subprocess.CompletedProcess[str]:
    own = [BROWSER, *WORDS, f"--window-size={width},900", *words, place]
    return subprocess.run(own, capture_output=True, text=True, check=True, timeout=120)


@pytest.fixture
def served(pages: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """A server on this machine, and what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(pages[self.path[1:]].read_bytes() if self.path[1:] in pages else b"")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("name", ["stack", "product", "night"])
def test_no_console_error_and_no_request(name: str, served: tuple[str, list[str]]) -> None:
    place, asked = served
    done = browse(f"{place}/{name}", 1280, "--enable-logging=stderr", "--dump-dom")
    assert asked == [f"/{name}"]
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert "</html>" in done.stdout


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["stack", "product", "night"])
def test_nothing_is_wider_than_the_screen(name: str, width: int, pages: dict[str, Path], tmp_path: Path) -> None:
    """Measured by a script in a copy of the page, which the page itself would not let run."""
    text = pages[name].read_text("utf-8")
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy"[^>]*>', text)
    copy = tmp_path / "copy.html"
    copy.write_text(text.replace(policy, "").replace("</body>", f"{MEASURE}</body>"), "utf-8")
    around = tmp_path / "around.html"
    around.write_text(AROUND.format(width))
    done = browse(around.as_uri(), 1400, "--virtual-time-budget=5000", "--dump-dom")
    wide, inner = json.loads(re.findall(r"<title>(\[.*?\])</title>", done.stdout)[0])
    assert wide <= inner == width


def test_the_policy_stops_scripts(tmp_path: Path, pages: dict[str, Path]) -> None:
    assert "script-src" not in POLICY
    assert "default-src 'none'" in POLICY
    copy = tmp_path / "copy.html"
    text = pages["stack"].read_text("utf-8")
    copy.write_text(text.replace("</body>", "<script>document.title = 'it ran'</script></body>"), "utf-8")
    assert "<title>Report on 6 frames</title>" in browse(copy.as_uri(), 390, "--dump-dom").stdout


def test_it_prints(tmp_path: Path, pages: dict[str, Path]) -> None:
    target = tmp_path / "a.pdf"
    browse(pages["stack"].as_uri(), 1280, f"--print-to-pdf={target}")
    assert target.read_bytes().startswith(b"%PDF")
