"""Write docs/bad_input.md and docs/sources.md from the tables of the tests: python docs/make_bad_input.py."""

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Write both pages beside this file."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from test_bad_input import bad_input_page
    from test_sources import sources_page

    with tempfile.TemporaryDirectory() as folder:
        (HERE / "bad_input.md").write_text(bad_input_page(Path(folder)), "utf-8")
    (HERE / "sources.md").write_text(sources_page(), "utf-8")


if __name__ == "__main__":
    main()
