"""Compiled loops over blocks of samples: numba and NumPy only, a block in, a block out.

Every kernel takes the whole block ``x`` as ``(frames, pixels)``, C-contiguous float32 or float64, the ``scale`` and
``weights`` of its samples, and works on the pixels ``start <= j < stop`` into the caller's ``out``.
"""

from xccd.kernels import reduce
from xccd.kernels.clip import clip_extrema, sigma_clip

__all__ = ["clip_extrema", "reduce", "sigma_clip"]
