"""The public functions that draw, under one name for the package's list."""

from __future__ import annotations

from xccd.pictures.blink import blink
from xccd.pictures.plot_noise import plot_noise
from xccd.pictures.plot_pixel import plot_pixel
from xccd.pictures.plot_rejection import plot_rejection
from xccd.pictures.plot_transforms import plot_transforms
from xccd.pictures.preview import preview
from xccd.pictures.report import report

__all__ = ["blink", "plot_noise", "plot_pixel", "plot_rejection", "plot_transforms", "preview", "report"]
