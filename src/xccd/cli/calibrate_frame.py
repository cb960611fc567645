"""The steps of `xccd calibrate` for one file: the verbs in their order, as far as options ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Any

from xccd.cli.lists import each_file
from xccd.cli.shell import BAD_INPUT, USAGE, Stop, stage

# Steps that frames of these kinds are spared: they measure what the step takes away, or what comes behind it.
SPARED = {"bias": ("bias", "errors", "dark", "flat"), "dark": ("dark", "flat"), "flat": ("flat",)}


def opened_masters(options: dict[str, Any], flagged: bool) -> dict[str, Any]:
    """The masters: an image, or of several files a tree from which each frame gets the one that fits.

    They are lazy: each frame would keep a copy of a master in memory, 18 MB for 1500 x 1500 pixels.
    """
    import xarray as xr

    import xccd

    found: dict[str, Any] = {}
    opener = xccd.open_dataset if flagged else xccd.open_stack
    for kind in ("bias", "dark", "flat"):
        if not options[kind]:
            continue
        with stage(BAD_INPUT, OSError, ValueError, TypeError, of=f"--{kind}"):
            files = each_file(options[kind])
            images = [opener([file], chunks=None) for file in files]
            images = [as_given(image, kind) for image in images] if options["any_kind"] else images
            if len(images) == 1:
                found[kind] = images[0]
                continue
            nodes: dict[str, Any] = {}
            for file, image in zip(files, images, strict=True):
                name = PurePath(file).name
                name = f"{name}-{len(nodes) + 1}" if name in nodes else name
                nodes[name] = image if flagged else image.to_dataset(name="data")
            found[kind] = xr.DataTree.from_dict(nodes)
    check_levels(found)
    return found


def as_given(image: Any, kind: str) -> Any:
    """A master whose header is said to be wrong, or to name its kind in other words."""
    names = [name for name in ("IMAGETYP", "OBSTYPE") if name in image.coords]
    labels = {name: ("frame", [kind]) for name in names or ["IMAGETYP"]}
    return image.assign_coords(labels)


def check_levels(masters: dict[str, Any]) -> None:
    """Warn of a dark or flat that has its bias level still, beside a bias."""
    from xccd.labels.warn import warn

    for kind in ("dark", "flat") if "bias" in masters else ():
        given = masters.get(kind)
        images = [node.to_dataset() for node in getattr(given, "leaves", ())] or ([] if given is None else [given])
        for image in images:
            if not has_no_bias(image):
                where = "would be subtracted twice" if kind == "dark" else "would stay in it"
                name = str(science(image)["file"].values[0])
                warn(f"--{kind} {name}: no BIASCOR in its header says that a bias was subtracted. If none was, the "
                     f"bias {where}: make it from frames that were calibrated with --bias")  # fmt: skip


def whole(files: list[str], options: dict[str, Any]) -> list[str]:
    """The files that can be opened; a warning names each of the others. Raises if none can be."""
    import xccd
    from xccd.labels.warn import warn

    found, last = [], None
    for file in files:
        try:
            xccd.open_stack([file], hdu=options["hdu"], chunks=None)
            found.append(file)
        except OSError as error:
            last = error
            warn(f"left out: {error}")
    if last is not None and not found:
        raise Stop(BAD_INPUT, f"no file can be opened: {last}")
    return found


def opened_map(options: dict[str, Any]) -> Any:
    """The bad pixel map; None without."""
    import xccd

    if options["bad_pixels"] is None:
        return None
    with stage(BAD_INPUT, OSError, ValueError, TypeError, of="--bad-pixels"):
        found = xccd.open_image(options["bad_pixels"])
        return found.copy(data=found.values != 0)  # NaN is bad, too


def check_before(
    file: str, stack: Any, options: dict[str, Any], masters: dict[str, Any], spared: tuple[str, ...]
) -> None:
    """Warn of a step that was done before, and of a dark without bias for a frame that has it still."""
    from xccd.labels.warn import warn
    from xccd.verbs.calibrate.keywords import keyword_of

    for kind, card in (("bias", "BIASCOR"), ("dark", "DARKCOR"), ("flat", "FLATCOR")):
        done = keyword_of(science(stack), card) if _takes(kind, masters, spared) else None
        if done not in (None, "", False):
            warn(f"{file}: {card} = {str(done)!r} says that --{kind} was done before")
    levelled = options["overscan"] is not None or _takes("bias", masters, spared) or has_no_bias(stack)
    if not levelled and _takes("dark", masters, spared):
        given = masters["dark"]
        images = [node.to_dataset() for node in getattr(given, "leaves", ())] or [given]
        if all(map(has_no_bias, images)):
            warn(f"{file}: a bias was subtracted from --dark, and none is from the frame: give --bias or --overscan")


def masked(stack: Any, bad: Any) -> Any:
    """The frame without bad pixels. All frames share one array if the map has their pixels."""
    import numpy as np

    own = [bad.coords.get(d) for d in bad.dims]
    shared = all(c is not None and np.array_equal(c, stack.coords.get(c.name, ())) for c in own)
    return stack.ccd.mask_where(bad.values if shared else bad)


@dataclass(frozen=True)
class Frame:
    """A calibrated frame that is still lazy: its kind, its file, what was done, and the image."""

    file: str
    kind: str
    steps: list[str]
    stack: Any  # of one frame, as a DataArray, or with --maps as a Dataset

    @property
    def labels(self) -> Any:
        """The stack without maps."""
        return science(self.stack)


def has_no_bias(stack: Any) -> bool:
    """Whether the header says that the bias level was taken off."""
    from xccd.verbs.calibrate.keywords import keyword_of
    from xccd.verbs.calibrate.subtract import WITHOUT_BIAS

    return any(keyword_of(science(stack), name) is not None for name in WITHOUT_BIAS)


def calibrated(file: str, options: dict[str, Any], masters: dict[str, Any], bad: Any) -> Frame:
    """One file after all steps. Raises before any pixel is read where a master does not fit."""
    import xccd

    opener = xccd.open_dataset if options["maps"] else xccd.open_stack
    with stage(BAD_INPUT, OSError, ValueError, TypeError):
        stack = opener([file], hdu=options["hdu"], chunks=None)
    if stack.sizes["frame"] != 1:
        raise Stop(BAD_INPUT, f"{file} has {stack.sizes['frame']} images: --hdu names one")
    kind = kind_of(stack)
    check_before(file, stack, options, masters, SPARED.get(kind, ()))
    steps = []
    for step, run in chain(options, masters, bad, stack, SPARED.get(kind, ())):
        # of a master the message has the option
        where = file if step.removeprefix("--") in masters else f"{file}: {step}"
        with stage(BAD_INPUT, OSError, ValueError, TypeError, of=where):
            stack = run(stack)
        steps.append(step)
    return Frame(file, kind, steps, stack)


def chain(
    options: dict[str, Any], masters: dict[str, Any], bad: Any, stack: Any, skipped: tuple[str, ...]
) -> Iterator[tuple[str, Any]]:
    """Each step with its function, in the order in which they make sense. Saturation goes with the first step."""
    limit = options["saturation"]
    whole = bad is not None and dict(bad.sizes) == {d: n for d, n in stack.sizes.items() if d in bad.dims}
    if limit is not None and (options["overscan"] is None and not _takes("bias", masters, skipped)):
        yield "--saturation", partial(_saturated, limit=limit)
        limit = None
    if options["overscan"] is not None:
        more = {k: options[f"overscan_{k}"] for k in ("method", "smooth", "window")}
        yield "--overscan", lambda s, at=limit: s.ccd.subtract_overscan(options["overscan"], saturation=at, **more)
        limit = None
    if whole:
        yield "--bad-pixels", partial(masked, bad=bad)
    if options["trim"] is not None:
        yield "--trim", lambda s: s.ccd.trim(options["trim"] or None)
    if bad is not None and not whole:
        yield "--bad-pixels", partial(masked, bad=bad)
    if _takes("bias", masters, skipped):
        yield "--bias", lambda s, at=limit: s.ccd.subtract_bias(masters["bias"], saturation=at)
    # Photons are counted without the bias level. A dark of raw frames holds it.
    levelled = options["overscan"] is not None or _takes("bias", masters, skipped) or has_no_bias(stack)
    errors = options["errors"] and "errors" not in skipped
    if errors and not levelled and not _takes("dark", masters, skipped):
        raise Stop(USAGE, "--errors takes frames without their bias level: give --bias, --overscan or --dark")
    if errors and levelled:
        yield "--errors", lambda s: s.ccd.create_deviation(options["gain"], options["readnoise"])
    if _takes("dark", masters, skipped):
        scale = "EXPTIME" if options["dark_scale"] else None
        yield "--dark", lambda s: s.ccd.subtract_dark(masters["dark"], scale=scale)
    if errors and not levelled:
        yield "--errors", lambda s: s.ccd.create_deviation(options["gain"], options["readnoise"])
    if _takes("flat", masters, skipped):
        yield "--flat", lambda s: s.ccd.flat_correct(masters["flat"], norm=options["norm"])
    if options["electrons"]:
        yield "--electrons", lambda s: s.ccd.gain_correct(options["gain"])


def _takes(kind: str, masters: dict[str, Any], skipped: tuple[str, ...]) -> bool:
    return kind in masters and kind not in skipped


def _saturated(stack: Any, limit: Any) -> Any:
    from xccd.verbs.calibrate import samples
    from xccd.verbs.calibrate.saturation import without_saturated

    run = partial(without_saturated, dim="frame", saturation=limit)
    return samples.on_images(stack, run, "saturation", "frame")


def science(stack: Any) -> Any:
    """The images of a stack or a flagged Dataset, as a DataArray."""
    return stack["data"] if hasattr(stack, "data_vars") else stack


def kind_of(stack: Any) -> str:
    """The kind of a frame by its header, such as "light"; "" if unknown."""
    from xccd.headers import kinds
    from xccd.labels.mixed import kind_labels

    ((imagetyp, obstype, _, _),) = zip(*kind_labels(science(stack), "frame"), strict=True)
    return kinds.kind_of(imagetyp, obstype) or ""
