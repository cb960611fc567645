"""What all tests share: the folder of real frames, where there is one."""

import os
from pathlib import Path

import pytest

REAL_FRAMES = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_frames() -> Path:
    """The folder of real frames beside the checkout; tests skip without it, but not in CI."""
    if not REAL_FRAMES.is_dir():
        reason = f"no real frames: {REAL_FRAMES} does not exist"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return REAL_FRAMES
