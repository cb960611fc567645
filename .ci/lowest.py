"""Print the lower bounds of pyproject.toml as pins, for a test of whether they are true."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
chosen = [*project["dependencies"]]
for extra in ("align", "offsets", "cosmics", "plot", "bottleneck", "ccdproc", "zarr", "netcdf", "live", "scan"):
    chosen += extras[extra]
for requirement in chosen:
    name, bound = re.fullmatch(r"([\w.-]+(?:\[\w+\])?)>=([\w.]+)(?:;.*)?", requirement).groups()
    print(f"{name}=={bound}")
