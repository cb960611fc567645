"""Stack, clip and combine astronomical images as labelled arrays."""

from importlib.metadata import version as _version

from xccd import accessor as _accessor  # noqa: F401  (registers .ccd)
from xccd._options import set_options
from xccd._suggest import explained as _explained
from xccd.align import align
from xccd.clip import clip_extrema, minmax, sigma_clip
from xccd.combine import combine, count
from xccd.fits.dataset import open_dataset
from xccd.fits.header import header, wcs
from xccd.fits.image import open_image
from xccd.fits.open import open_stack
from xccd.fits.shapes import open_frames
from xccd.fits.tree import open_tree
from xccd.fits.write import to_fits
from xccd.grid import Grid
from xccd.interop import from_ccddata, to_ccddata, to_masked_array
from xccd.lossless import to_dataset, to_stack
from xccd.masks import mask, mask_where
from xccd.normalize import normalize
from xccd.offsets import find_offsets
from xccd.simulate import simulate_night
from xccd.sky import assign_sky_coords, cutout
from xccd.stage import to_zarr
from xccd.warm import warm_up

__version__ = _version("xccd")

__all__ = [
    "Grid", "__version__", "align", "assign_sky_coords", "clip_extrema", "combine", "count", "cutout", "find_offsets",
    "from_ccddata", "header", "mask", "mask_where", "minmax", "normalize", "open_dataset", "open_frames", "open_image",
    "open_stack", "open_tree", "set_options", "sigma_clip", "simulate_night", "to_ccddata", "to_dataset", "to_fits",
    "to_masked_array", "to_stack", "to_zarr", "warm_up", "wcs",
]  # fmt: skip

globals().update(_explained(globals(), __all__))
