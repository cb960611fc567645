"""Make a master bias and a master flat. The lamp drifts, so the flats are brought to one level before the clip."""

import tempfile
from pathlib import Path

import xccd

folder = Path(tempfile.mkdtemp(prefix="xccd-example-"))
xccd.simulate_night(folder / "raw", shape=(256, 256), nlight=0, ndark=0)

bias = (
    xccd.open_stack(folder / "raw/bias-*.fits")
    .ccd.sigma_clip(3, 3, center="median", deviation="mad_std", floor=0.29)  # whole counts scatter by 0.29 at least
    .ccd.combine("mean")
    .compute()
)
bias.ccd.to_fits(folder / "master-bias.fits")

flats = xccd.open_stack(folder / "raw/flat-r-*.fits").ccd.subtract_bias(bias)
level = flats.ccd.normalize(scale="median", region="[65:192,65:192]")  # the middle of the field
flat = level.ccd.sigma_clip(3, 3, center="median", deviation="mad_std").ccd.combine("mean").compute()
flat = flat / flat.median()
flat.ccd.to_fits(folder / "master-flat-r.fits", header={"OBJECT": ("master flat", "median 1")})

drift = 1 / level.scale.compute()
print(f"bias: {float(bias.mean()):.1f} adu from {bias.NCOMBINE} frames")
print(f"lamp: {float(drift.min()):.3f} to {float(drift.max()):.3f} times the first frame")
print(f"flat: {float(flat.min()):.3f} to {float(flat.max()):.3f}, written with its history:")
print(*xccd.header(xccd.open_stack(folder / "master-flat-r.fits"))["HISTORY"], sep="\n")
assert flat.NCOMBINE == 10
