"""Run the programs on columns of samples, and keep which samples survive.

python tests/peers/make_reference.py [--only iraf siril gnuastro astropy ccdproc]

columns.npz holds the samples: (frames, columns) float32, NaN below the last frame of a column. A file for each program
holds its version, the names of its settings, and for each setting and column a number with bit i set where frame i
survives; 0 where the survivors are not known. A program that is not installed is named, and its file stays as it is.
(Debian and Ubuntu: apt-get install iraf siril gnuastro.)
"""

from __future__ import annotations

import argparse
import shutil

import numpy as np
from columns import HERE, columns, kept_columns, padded
from programs import PROGRAMS, UNKNOWN


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="+", choices=PROGRAMS, default=[*PROGRAMS])
    given = options.parse_args()
    path = HERE / "columns.npz"
    if not path.exists():
        np.savez_compressed(path, values=padded(columns()))
    made = kept_columns()
    for name in given.only:
        program = PROGRAMS[name]
        if program.command and not shutil.which(program.command):
            print(f"{name}: not installed ({program.command} is not on the path); {name}.npz stays as it is")
            continue
        found = [program.run(x, program.settings) for x in made.values()]
        survivors = np.array([np.concatenate([part[key] for part in found]) for key in program.settings])
        settings = np.array([*program.settings])
        np.savez_compressed(HERE / f"{name}.npz", survivors=survivors, settings=settings, version=program.version())
        kilobytes = (HERE / f"{name}.npz").stat().st_size / 1000
        print(f"{name} {program.version()}: {survivors.shape[1]} columns, {kilobytes:.0f} kB")
        for key, row in zip(program.settings, survivors, strict=True):
            print(f"    {key}: {np.mean(row == UNKNOWN):.1%} not known")


if __name__ == "__main__":
    main()
