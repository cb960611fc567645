"""Pictures of images that are much longer than wide: their pixels are seen."""

import numpy as np
import pytest

import xccd

pytest.importorskip("matplotlib")
OPTIONS = {"center": "median", "deviation": "mad_std"}


@pytest.mark.parametrize("shape", [(1, 1000), (1000, 1), (3, 700), (40, 1000)])
def test_a_slim_image_is_no_line(shape):
    frames = np.random.default_rng(0).normal(500, 5, (5, *shape))
    stack = xccd.open_stack([(frame, {}) for frame in frames]).load()
    clipped = stack.ccd.sigma_clip(2, 2, **OPTIONS)
    for axes in (stack.ccd.preview().axes[0], clipped.ccd.plot_rejection(stack).axes[0]):
        assert 0.14 < axes.get_aspect() * shape[0] / shape[1] < 4.1, "height over width of what is drawn"


@pytest.mark.parametrize("shape", [(300, 40), (40, 300), (64, 64)])
def test_other_pixels_are_square(shape):
    stack = xccd.open_stack([(np.random.default_rng(0).normal(500, 5, shape), {})])
    assert stack.ccd.preview().axes[0].get_aspect() == 1
