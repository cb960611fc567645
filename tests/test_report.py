"""The report: what each part tells, of all kinds of objects; texts escaped; errors before work; files read once."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xccd
from xccd.compute.arrays import is_lazy
from xccd.labels.lazy import array_of
from xccd.pictures import report_look
from xccd.pictures.page import Html, escaped, is_page, page, tag
from xccd.read.images.pixels import FilePixels

CLIP = {"low": 4, "high": 4, "center": "median", "deviation": "mad_std"}
RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    size = {"nbias": 3, "ndark": 3, "nflat": 3, "nlight": 7}
    return Path(xccd.simulate_night(folder / "raw", shape=(80, 96), **size))


@pytest.fixture
def stack(night: Path) -> xr.DataArray:
    return xccd.open_stack(night / "light-r-*.fits", chunks=None)


class Read(HTMLParser):
    """The elements, texts, and places that a page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.places: list[str] = []
        self.texts: list[str] = []
        self.within: dict[str, str] = {}  # the text of each section
        self.section = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("img", "meta", "link", "br"):
            self.open.append(tag)
        found = dict(attrs)
        assert not [k for k in found if k.startswith("on")]
        self.places += [found[k] or "" for k in ("src", "href") if k in found]
        self.section = found.get("id") or self.section if tag == "section" else self.section

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        self.within[self.section] = self.within.get(self.section, "") + data + " "


def read(path: Path) -> Read:
    text = path.read_text("utf-8")
    made = Read(text)
    assert "script" not in made.tags
    assert all(place.startswith(("data:", "#")) for place in made.places)
    assert "url(" not in text
    assert "@import" not in text
    return made


def test_a_raw_stack(stack: xr.DataArray, tmp_path: Path) -> None:
    made = read(stack.ccd.report(tmp_path / "a.html"))
    assert list(made.within)[1:] == [
        "inputs", "statistics", "compare", "rejection", "noise", "registration", "headers", "made", "versions", "cost",
    ]  # fmt: skip
    assert made.within["inputs"].count("light-r-00") == 14  # in thumbnails and in the table
    assert "120 s" in made.within["inputs"]
    assert "adu" in made.within["inputs"]
    assert "was not clipped" in made.within["rejection"]
    assert "was not clipped" in made.within["compare"]
    assert "AIRMASS" in made.within["headers"]
    assert "All frames have one WCS" in made.within["registration"]
    assert "find_transforms" in made.within["registration"]
    assert "xccd.open_stack(files)" in made.within["made"]
    assert "numpy" in made.within["versions"]
    assert "The report took" in made.within["cost"]
    assert made.tags.count("img") == 8  # thumbnails, and the noise


def test_odd_frames_are_marked_with_the_reason(tmp_path: Path) -> None:
    frames = [RNG.normal(500, 5, (40, 40)) for _ in range(9)]
    frames[4] += 300
    made = xccd.open_stack([(frame, {}) for frame in frames]).ccd.report(tmp_path / "a.html")
    assert "frame-5: high background" in read(made).within["statistics"]
    assert made.read_text().count('<tr class="marked">') == 1


CASES = {
    "deferred": lambda s, d: s,
    "dask": lambda s, d: s.chunk({"frame": -1, "y": 40}),
    "files in dask": lambda s, d: xccd.open_stack(s.file.values.tolist(), chunks="auto"),
    "calibrated": lambda s, d: s.ccd.subtract_bias(xr.DataArray(np.full((80, 96), 100.0), dims=("y", "x"))),
    "flagged": lambda s, d: xccd.open_dataset(s.file.values.tolist(), chunks=None),
}


@pytest.mark.parametrize("case", CASES)
def test_a_clipped_chain_knows_what_was_rejected(case: str, stack: xr.DataArray, tmp_path: Path) -> None:
    clipped = CASES[case](stack, tmp_path).ccd.sigma_clip(**CLIP)
    made = read(clipped.ccd.report(tmp_path / "a.html"))
    data = clipped if isinstance(clipped, xr.DataArray) else clipped.data
    assert is_lazy(array_of(data))  # as it was: nothing is kept
    counts = (clipped.isnull() if clipped is data else clipped.data_flags != 0).sum(("y", "x")).values
    for name, count in zip(stack.file.values, counts, strict=True):
        assert f"{Path(str(name)).stem} {count} " in made.within["rejection"]
    assert "before" in made.within["compare"]
    assert "after" in made.within["compare"]
    assert "sigma_clip(low=4, high=4" in made.within["made"]


def test_a_stack_in_memory_needs_its_original(stack: xr.DataArray, tmp_path: Path) -> None:
    clipped = stack.ccd.sigma_clip(**CLIP).compute()
    assert "Give original=" in read(clipped.ccd.report(tmp_path / "a.html")).within["rejection"]
    made = read(clipped.ccd.report(tmp_path / "b.html", original=stack)).within["rejection"]
    assert f"light-r-001 {int(clipped[0].isnull().sum())} " in made


def test_what_is_looked_at_of_large_frames(
    stack: xr.DataArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_look, "SIDE", 40)
    clipped = stack.ccd.sigma_clip(**CLIP)
    made = read(clipped.ccd.report(tmp_path / "a.html"))
    assert "every 3rd row and column" in made.within["rejection"]
    counts = clipped.ccd.mask.sum(("y", "x")).values  # of all samples, by the table of statistics
    assert f"light-r-001 {counts[0]} " in made.within["rejection"]


@pytest.mark.parametrize("side", [40, 1024])
@pytest.mark.parametrize("chunks", [None, "auto"])
def test_no_file_is_read_more_than_twice(
    side: int, chunks: str | None, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(report_look, "SIDE", side)
    seen: dict[str, int] = {}
    own = FilePixels.read

    def counted(self: FilePixels, index: object, out: np.ndarray) -> None:
        seen[str(self)] = seen.get(str(self), 0) + out.size
        own(self, index, out)

    monkeypatch.setattr(FilePixels, "read", counted)
    clipped = xccd.open_stack(night / "light-r-*.fits", chunks=chunks).ccd.sigma_clip(**CLIP)
    clipped.ccd.report(tmp_path / "a.html")
    assert 0 < sum(seen.values()) <= 2 * clipped.size


def test_memory_limits_what_is_looked_at() -> None:
    from xccd.pictures.subject import subject

    look = report_look.Look(subject("report", xr.DataArray(np.zeros((8, 600, 600), "f4"), dims=("frame", "y", "x"))))
    assert look.step == 1
    del look.step
    with xccd.set_options(memory="8 MB"):
        assert look.step == 3


def test_registration_residuals(tmp_path: Path) -> None:
    y, x = np.mgrid[:120, :120]
    at = RNG.uniform(8, 112, (25, 2))
    image = sum(RNG.uniform(200, 2000) * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 4) for a, b in at)
    frames = [(image + RNG.normal(100, 3, image.shape), {}), (image[::-1, ::-1] + RNG.normal(100, 3, image.shape), {})]
    stack = xccd.open_stack(frames)
    found = stack.ccd.find_transforms()
    made = read(stack.ccd.report(tmp_path / "a.html", transforms=found))
    assert "stars matched" in made.within["registration"]
    assert made.tags.count("img") == 5
    with pytest.raises(ValueError, match=r"transforms= has 2 frames, the stack 1: give the same frames"):
        stack[:1].ccd.report(tmp_path / "b.html", transforms=found)


def test_a_product_with_its_maps_and_recipe(night: Path, tmp_path: Path) -> None:
    xccd.reduce(night, output=tmp_path / "products")
    path = next((tmp_path / "products").glob("*.fits"))
    for number, image in enumerate((xccd.open_image(path), xccd.open_dataset(path))):
        made = read(image.ccd.report(tmp_path / f"{number}.html"))
        assert list(made.within)[1:] == ["image", "statistics", "frames", "noise", "made", "header", "versions", "cost"]
        assert made.tags.count("img") >= 5
        assert "light-r-007.fits" in made.within["frames"]
        assert "low %" in made.within["frames"]
        assert "sqrt(N)" in made.within["noise"]
        assert "xccd run --from" in made.within["made"]
        assert "[recipe.light]" in made.within["made"]
        assert "NCOMBINE" in made.within["header"]


def test_a_product_in_memory(stack: xr.DataArray, tmp_path: Path) -> None:
    ds = stack.ccd.to_dataset().ccd.combine_with_maps()
    made = read(ds.ccd.report(tmp_path / "a.html"))
    assert "sqrt(N)" in made.within["noise"]
    assert "no extension RECIPE" in made.within["made"]
    bare = read(ds.data.ccd.report(tmp_path / "b.html"))
    assert "takes the maps of uncertainties" in bare.within["noise"]
    assert "xccd.combine" in bare.within["made"]


def test_a_tree_has_a_part_for_each_node(night: Path, tmp_path: Path) -> None:
    tree = xccd.open_tree(night / "*.fits", by="IMAGETYP", chunks=None)
    made = read(tree.ccd.report(tmp_path / "a.html"))
    for name in ("bias", "dark", "flat", "light"):
        assert any(section.endswith(f"{name}-statistics") for section in made.within)
    assert "4 parts" in made.texts[0] + "".join(made.texts[:40])


def test_colours(tmp_path: Path) -> None:
    colours = xr.DataArray(RNG.normal(500, 5, (4, 3, 20, 24)).astype("f4"), dims=("frame", "channel", "y", "x"))
    made = read(colours.ccd.report(tmp_path / "a.html"))
    assert "pick one" in made.within["noise"]
    assert made.tags.count("img") == 4


NASTY = "<script>alert('x')</script>\"&amp;<b> \x1b[31m\u202eevil\u0007\n</pre>"


def test_texts_are_escaped_everywhere(tmp_path: Path) -> None:
    names = [f"/night/{i}{NASTY}.fits" for i in range(6)]
    frames = [
        (RNG.normal(500, 5, (20, 24)), {"OBJECT": "<script>", "NOTE": f"<i>{i}</i> & \"q\" 'q'"}) for i in range(6)
    ]
    stack = xccd.open_stack(frames)
    header = np.array([f"{text}\nOWNER   = '{NASTY[:40]}'" for text in stack.header.values.tolist()], object)
    stack = stack.assign_coords(file=("frame", np.array(names, object)), header=("frame", header))
    stack = stack.assign_coords(OBJECT=("frame", np.array([f"{i}{NASTY}" for i in range(6)], object)))
    stack = stack.assign_attrs(units=NASTY, history=f"xccd.sigma_clip(low={NASTY!r})")
    path = stack.ccd.report(tmp_path / "a.html", title=NASTY)
    made, text = read(path), path.read_text("utf-8")
    assert not {"b", "i", "script"} & set(made.tags) - {"b"}
    assert made.tags.count("b") == 6
    assert "<script>alert('x')</script>" in "".join(made.texts)
    for character in ("\x1b", "\u202e", "\u0007"):
        assert character not in text
    assert "\\u202e" in "".join(made.texts)
    image = stack.ccd.combine("mean").assign_attrs(units=NASTY)
    read(image.ccd.report(tmp_path / "b.html"))
    tree = xr.DataTree.from_dict({"/a<script>": stack.to_dataset(name="data"), "/b": stack.to_dataset(name="data")})
    read(tree.ccd.report(tmp_path / "c.html"))


def test_elements_escape_what_is_put_into_them() -> None:
    assert tag("a", "<&>", href='"x"') == '<a href="&quot;x&quot;">&lt;&amp;&gt;</a>'
    assert tag("p", Html("<b>"), None, css="a") == '<p class="a"><b>None</p>'
    assert escaped("\ud800\u2066a") == "\\ud800\\u2066a"
    assert page("\ud800", [], []).decode()


def test_arguments_are_checked_before_work(
    stack: xr.DataArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xccd.pictures.report._sections", None)  # no work is done
    (tmp_path / "there.html").write_text("x")
    (tmp_path / "folder.html").mkdir()
    a = tmp_path / "a.html"
    wrong = [
        (TypeError, r"path=3 is an int, not a path: name a file, as 'report.html'", (3,), {}),
        (ValueError, r"does not end in \.html: a report is a page", (tmp_path / "a.pdf",), {}),
        (FileExistsError, r"there\.html' is there already: overwrite=True", (tmp_path / "there.html",), {}),
        (IsADirectoryError, r"is a folder: name a file in it", (tmp_path / "folder.html",), {"overwrite": True}),
        (FileNotFoundError, r"there is no folder", (tmp_path / "no/a.html",), {}),
        (TypeError, r"n=2\.5 is no whole number", (a,), {"n": 2.5}),
        (ValueError, r"n=0 is not from 1 to 50", (a,), {"n": 0}),
        (TypeError, r"stars='yes' is not True or False", (a,), {"stars": "yes"}),
        (TypeError, r"overwrite=1 is not True or False", (a,), {"overwrite": 1}),
        (TypeError, r"title=5 is an int, not a text", (a,), {"title": 5}),
        (TypeError, r"transforms= is a str: give what find_transforms returns", (a,), {"transforms": "x"}),
        (ValueError, r"transforms= has no matrix", (a,), {"transforms": xr.Dataset()}),
        (ValueError, r"original= has 3 frames, there are 7", (a,), {"original": stack[:3]}),
        (ValueError, r"original= has the sizes", (a,), {"original": stack[:, :5]}),
    ]
    for kind, message, args, options in wrong:
        with pytest.raises(kind, match=message):
            stack.ccd.report(*args, **options)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.html", "there.html"]


@pytest.mark.parametrize(
    ("obj", "kind", "message"),
    [
        ([1, 2], TypeError, "report takes a DataArray, a Dataset or a DataTree, not a list"),
        (xr.Dataset(), ValueError, "report shows images, and this Dataset has none"),
        (xr.DataTree(), ValueError, "no node of this DataTree has an image"),
        (xr.DataArray(np.zeros((3, 4)), dims=("frame", "x")), ValueError, "report shows images"),
        (xr.DataArray(np.zeros((0, 4, 4)), dims=("frame", "y", "x")), ValueError, "empty"),
        (xr.DataArray(np.zeros((2, 4, 4), complex), dims=("frame", "y", "x")), TypeError, "complex"),
    ],
)
def test_objects_that_are_no_images(obj: object, kind: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        xccd.report(obj, tmp_path / "a.html")
    assert not list(tmp_path.iterdir())


def test_one_argument_does_not_go_with_several_parts(night: Path, stack: xr.DataArray, tmp_path: Path) -> None:
    tree = xccd.open_tree(night / "*.fits", by="IMAGETYP", chunks=None)
    with pytest.raises(ValueError, match=r"original= goes with one stack, and there are 4 parts"):
        tree.ccd.report(tmp_path / "a.html", original=stack)
    with pytest.raises(ValueError, match=r"original= goes with one stack, and there are one image"):
        stack[0].ccd.report(tmp_path / "a.html", original=stack)


def test_the_page_is_written_whole_or_not_at_all(night: Path, tmp_path: Path) -> None:
    files = []
    for path in sorted(night.glob("light-r-*.fits")):
        files.append(tmp_path / path.name)
        files[-1].write_bytes(path.read_bytes())
    stack = xccd.open_stack(files, chunks=None)
    target = tmp_path / "a.html"
    target.write_text("old")
    files[2].unlink()
    with pytest.raises(OSError, match=r"light-r-003\.fits"):
        stack.ccd.report(target, overwrite=True)
    assert target.read_text() == "old"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_frames_without_samples(tmp_path: Path) -> None:
    data = RNG.normal(500, 5, (5, 20, 20)).astype("f4")
    data[2] = np.nan
    made = read(xr.DataArray(data, dims=("frame", "y", "x")).ccd.report(tmp_path / "a.html"))
    assert "no samples" in made.within["inputs"]
    empty = xr.DataArray(np.full((2, 20, 20), np.nan, "f4"), dims=("frame", "y", "x"))
    assert "cannot be told" in read(empty.ccd.report(tmp_path / "b.html")).within["noise"]


def test_many_frames_give_a_small_page(tmp_path: Path) -> None:
    frames = RNG.normal(500, 5, (300, 48, 48)).astype("f4")
    frames[::10, :, 3] += 400
    stack = xr.DataArray(frames, dims=("frame", "y", "x")).chunk({"y": 16})
    path = stack.ccd.sigma_clip(4, 4).ccd.report(tmp_path / "a.html", n=50)
    made = read(path)
    assert path.stat().st_size < 5e6
    assert made.tags.count("img") <= 50 + 50 + 6 + 3
    assert made.within["statistics"].count("frame 299") == 1


def test_without_matplotlib_there_are_no_diagrams(
    stack: xr.DataArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    made = read(stack.ccd.sigma_clip(**CLIP).ccd.report(tmp_path / "a.html"))
    assert "pip install 'xccd[plot]'" in made.within["noise"]
    assert made.tags.count("img") == 7 + 6


def test_a_page_names_what_it_was_written_by(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    assert not is_page(path, "xccd live")
    path.write_bytes(page("a", [], [], by="xccd live", refresh=5))
    assert is_page(path, "xccd live")
    assert not is_page(path, "xccd reduce")
    assert '<meta http-equiv="refresh" content="5">' in path.read_text()
