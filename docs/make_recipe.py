"""Write the table of keys in docs/recipe.md: python docs/make_recipe.py. A test asks for it to be that of today."""

from __future__ import annotations

from pathlib import Path

from xccd import Recipe
from xccd.night.recipe.recipe_text import table

PAGE = Path(__file__).resolve().parent / "recipe.md"
BEGIN, END = "<!-- keys, by docs/make_recipe.py -->", "<!-- end of the keys -->"


def page(text: str) -> str:
    """The page with the table of today's keys."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table(Recipe)}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
