"""The shapes of the drops that pixels become in a drizzle, and the numbers that define them."""

import math

SQUARE, POINT, GAUSSIAN = range(3)
DROPS = {"square": SQUARE, "point": POINT, "gaussian": GAUSSIAN}
SMALLEST = 1e-3  # pixfrac below which a square drop is a point, as in STScI's drizzle
TOUCHED = 1e-9  # of a drop: a smaller share is rounding
FWHM = 2.3548  # in sigma, of a Gaussian, to the digits of STScI's drizzle
SIGMAS, LEAST = 2.5, 1.2  # a Gaussian ends at so many sigma, but not before so many pixels of the frame
FAR = 45.0  # exp(-45) is nothing
HALVINGS = 6  # exp(-t) is exp(-t / 64) ** 64
SERIES = tuple(1.0 / math.factorial(n) for n in range(12, -1, -1))  # of exp, the highest power first
