"""Reduce a night twice: first all of it, then with another recipe, which makes only the lights again."""

import tempfile
from pathlib import Path

import xccd

folder = Path(tempfile.mkdtemp(prefix="xccd-example-"))
night = xccd.simulate_night(folder / "night", shape=(128, 160), nbias=6, ndark=6, nflat=6, nlight=8)

table = xccd.scan(night)
print(table.groupby(["kind", "filter", "exposure"]).size())
print(xccd.plan(table))

done = xccd.reduce(table, output=folder / "products")
print(done[["product", "frames", "status"]].to_string(index=False))
assert (done.status == "made").all()

recipe = xccd.Recipe(light={"method": "median", "keep": "noise<80%"})
again = xccd.reduce(table, recipe, output=folder / "products")
print(again[["product", "frames", "status"]].to_string(index=False))
assert set(again.status[again.kind != "light"]) == {"up to date"}

light = xccd.open_image(folder / "products" / f"{again['product'].iloc[-1]}.fits")
print(*light.ccd.header()["HISTORY"], sep="\n")
assert again.status.iloc[-1] == "made"
