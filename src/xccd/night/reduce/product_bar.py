"""The bar of a night: products that are made, and what is being done for the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xccd.compute import progress

Tell = Callable[[str, str, int, int], object]  # the product, what is done, bytes so far, bytes in all


@contextmanager
def product_bar(total: int, tell: Tell | None = None, asked: bool | None = None) -> Iterator[tuple[Tell, progress.Bar]]:
    """A function that is told what is done, and the bar to which each product is added; with ``tell`` there is none."""
    if tell is not None:
        with progress.without():
            yield tell, progress.NO_BAR
        return
    with progress.bar("reduce", total, "products", asked=asked) as shown:

        def say(product: str, doing: str, done: int, size: int) -> None:
            shown.say(f"{product}: {doing}" + (f" {done / size:.0%}" if size else ""))

        yield say, shown
