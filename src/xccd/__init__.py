"""Stack, clip and combine astronomical images as labelled arrays."""

from importlib.metadata import version as _version

from xccd import accessor as _accessor  # noqa: F401  (registers .ccd)
from xccd.compute.options import set_options
from xccd.errors import XccdError
from xccd.interop import from_ccddata, to_ccddata, to_masked_array
from xccd.labels.header import header
from xccd.labels.keyword import keyword
from xccd.messages import explained as _explained
from xccd.night.live.live import LiveStack
from xccd.night.plan.plan import plan
from xccd.night.recipe.recipe import Recipe
from xccd.night.reduce.reduce import reduce
from xccd.night.scan.scan import scan
from xccd.pictures.public import blink, plot_noise, plot_pixel, plot_rejection, plot_transforms, preview, report
from xccd.read.dataset import open_dataset
from xccd.read.frames import open_frames
from xccd.read.image import open_image
from xccd.read.stack import open_stack
from xccd.read.tree import open_tree
from xccd.simulate import simulate_night
from xccd.sky.frame_wcs import wcs
from xccd.sky.grid import Grid
from xccd.verbs.align import align
from xccd.verbs.apply_flags import apply_flags
from xccd.verbs.assign_wcs import assign_wcs
from xccd.verbs.bayer import bayer_planes
from xccd.verbs.calibrate.bad_pixels import make_bad_pixel_map
from xccd.verbs.calibrate.flat import flat_correct
from xccd.verbs.calibrate.gain import create_deviation, gain_correct
from xccd.verbs.calibrate.overscan import subtract_overscan
from xccd.verbs.calibrate.subtract import subtract_bias, subtract_dark
from xccd.verbs.calibrate.trim import trim
from xccd.verbs.clip import clip_extrema, minmax, sigma_clip
from xccd.verbs.combine import combine, count
from xccd.verbs.combine_with_maps import combine_with_maps
from xccd.verbs.context import context
from xccd.verbs.debayer import debayer
from xccd.verbs.explain import explain
from xccd.verbs.find_offsets import find_offsets
from xccd.verbs.find_transforms import find_transforms
from xccd.verbs.grow import grow, large_structures
from xccd.verbs.keep import keep
from xccd.verbs.lossless import to_dataset, to_stack
from xccd.verbs.mask import mask, mask_where
from xccd.verbs.measure_stars import measure_stars
from xccd.verbs.normalize import normalize
from xccd.verbs.refine_wcs import refine_wcs
from xccd.verbs.reject import register_rejection, reject, unregister_rejection
from xccd.verbs.sky import assign_sky_coords, cutout
from xccd.verbs.stats import stats
from xccd.versions import show_versions
from xccd.warm import warm_up
from xccd.write.fits import to_fits
from xccd.write.zarr import to_zarr

__version__ = _version("xccd")

__all__ = [
    "Grid", "LiveStack", "Recipe", "XccdError", "__version__", "align", "apply_flags", "assign_sky_coords",
    "assign_wcs", "bayer_planes", "blink", "clip_extrema", "combine", "combine_with_maps", "context", "count",
    "create_deviation", "cutout", "debayer", "explain", "find_offsets", "find_transforms", "flat_correct",
    "from_ccddata", "gain_correct", "grow", "header", "keep", "keyword", "large_structures", "make_bad_pixel_map",
    "mask", "mask_where", "measure_stars", "minmax", "normalize", "open_dataset", "open_frames", "open_image",
    "open_stack", "open_tree", "plan", "plot_noise", "plot_pixel", "plot_rejection", "plot_transforms", "preview",
    "reduce", "refine_wcs", "register_rejection", "reject", "report", "scan", "set_options", "show_versions",
    "sigma_clip", "simulate_night", "stats", "subtract_bias", "subtract_dark", "subtract_overscan", "to_ccddata",
    "to_dataset", "to_fits", "to_masked_array", "to_stack", "to_zarr", "trim", "unregister_rejection", "warm_up", "wcs",
]  # fmt: skip

globals().update(_explained(globals(), __all__))
