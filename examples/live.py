"""Stack a night while it is observed: a picture after each frame, and a stop in between."""

import tempfile
from pathlib import Path

import xccd

folder = Path(tempfile.mkdtemp(prefix="xccd-example-"))
night = xccd.simulate_night(folder / "raw", shape=(256, 320), nbias=6, ndark=6, nflat=6, nlight=12)
bias = xccd.open_stack(night / "bias-*.fits").ccd.combine("median").load()
frames = sorted(night.glob("light-r-*.fits"))

live = xccd.LiveStack(low=3, high=3, minimum=6, max=50000, align="wcs", zero="median")
for path in frames[:8]:
    added = live.add(xccd.open_stack(path).ccd.subtract_bias(bias)[0])
    live.snapshot().ccd.to_fits(folder / "live.fits", overwrite=True)
    live.save(folder / "live.state")
    print(f"{path.name}: frame {added.number}, {added.rejected / added.samples:.2%} of its samples rejected")

live = xccd.LiveStack.load(folder / "live.state")  # after a crash, or in the next night
for path in frames[8:]:
    live.add(xccd.open_stack(path).ccd.subtract_bias(bias)[0])
image = live.snapshot()
image.ccd.to_fits(folder / "live.fits", overwrite=True)

print(f"{len(live)} frames, {image.data.attrs['EXPTOTAL']:g} s in all, written to {folder / 'live.fits'}")
high, low = (int(image[f"data_rejected_{side}"].sum()) for side in ("high", "low"))
print(f"rejected: {high} samples above the mean, {low} below")
assert len(live) == len(frames)
assert high > low > 0
