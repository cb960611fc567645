"""Take the picture of docs/report.md with Chromium, by the page's own code block: python docs/make_report.py."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SIZE = "1000,1560"


def main() -> None:
    """Write the report of the first block, and take its picture."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"the picture needs one of {', '.join(BROWSERS)}")
    page = (HERE / "report.md").read_text("utf-8")
    block = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    lines = [line[4:] for line in block.splitlines() if line.startswith((">>> ", "... "))]
    names: dict[str, Any] = {}
    exec("\n".join(lines), names)
    target = HERE / "_static/report.png"
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={SIZE}"]
    subprocess.run([browser, *words, f"--screenshot={target}", f"file://{names['path']}"], check=True, timeout=120)


if __name__ == "__main__":
    main()
