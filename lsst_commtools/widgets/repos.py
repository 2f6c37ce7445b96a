"""Browser of repositories, nights and images, with thumbnails of what is chosen.

It reads only, and needs nothing but ipywidgets, so it works in JupyterLab and in Voila alike.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import CommtoolsError, InputError, TableError
from lsst_commtools.instrument.raws import assemble, read_raw
from lsst_commtools.repos import Holdings, Located, Repositories
from lsst_commtools.widgets.style import FIELD, WRAP, Panel, Tone, badge, safe, table

__all__ = ["RepositoryBrowser", "make_thumbnail"]

_THUMBNAIL_PIXELS = 200
_MAX_FILE_BYTES = 2 << 30
_MAX_THUMBNAILS = 24
_HELD = {"ok": Tone.GOOD, "missing": Tone.BAD}


def make_thumbnail(path: str, pixels: int = _THUMBNAIL_PIXELS) -> bytes:
    """Make a small picture of a raw image.

    Parameters
    ----------
    path
        FITS file: a raw, which is put together, or a file whose first image is taken.
    pixels
        Length of the longer side.

    Returns
    -------
    bytes
        PNG, grey, from the 1st to the 99th percentile.

    Raises
    ------
    InputError
        If it holds no image that can be read.
    """
    from PIL import Image

    data = _read_pixels(path, pixels)
    finite = data[np.isfinite(data)]
    if finite.size == 0:
        raise InputError(f"{path} holds no image.")
    low, high = np.percentile(finite, [1.0, 99.0])
    scaled = np.clip((np.nan_to_num(data) - low) / max(float(high - low), 1e-9), 0.0, 1.0)
    picture = Image.fromarray((scaled[::-1] * 255).astype(np.uint8))
    picture.thumbnail((pixels, pixels))
    if max(picture.size) < pixels:
        factor = pixels // max(picture.size)
        picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    content = io.BytesIO()
    picture.save(content, format="PNG")
    return content.getvalue()


def _read_pixels(path: str, pixels: int) -> NDArray[np.float64]:
    """Read a raw, or failing that the first image of a FITS file, thinned out to about the size wanted."""
    if not Path(path).is_file() or Path(path).stat().st_size > _MAX_FILE_BYTES:
        raise InputError(f"{path} is no file of a usual size.")
    try:
        data = np.asarray(assemble(read_raw(path)))
    except TableError:
        data = _read_first_image(path)
    step = max(1, max(data.shape) // (2 * pixels))
    return data[::step, ::step].astype(np.float64)


def _read_first_image(path: str) -> NDArray[Any]:
    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(path, memmap=False) as units:
                for unit in units:
                    if getattr(unit, "is_image", False) and unit.data is not None and unit.data.ndim == 2:
                        return np.asarray(unit.data)
    except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError) as error:
        raise InputError(f"{path} cannot be read as an image: {error}.") from None
    raise InputError(f"{path} holds no image.")


class RepositoryBrowser(Panel):
    """Browser of the repositories of a site for a notebook.

    Parameters
    ----------
    repositories
        What to browse.
    day_obs
        Night to begin with; 0 for none.
    """

    def __init__(self, repositories: Repositories, day_obs: int = 0) -> None:
        self._repositories = repositories
        labels = [r.label for r in repositories.known if not r.internal]
        self._repository = ipywidgets.Dropdown(options=labels, description="repository", layout=FIELD)
        self._day_obs = ipywidgets.Text(
            value=str(day_obs or ""), description="day_obs", placeholder="YYYYMMDD", layout=FIELD
        )
        self._look = ipywidgets.Button(description="Show night", icon="search")
        self._seq_num = ipywidgets.Dropdown(options=[], description="image", layout=FIELD)
        self._night = ipywidgets.HTML()
        self._image = ipywidgets.HTML()
        self._pictures = ipywidgets.HBox([], layout=WRAP)
        self._look.on_click(lambda _: self.in_background(self.show_night, "Counting"))
        self._seq_num.observe(self._choose, names="value")
        choice = ipywidgets.HBox([self._repository, self._day_obs, self._look], layout=WRAP)
        self._filling = False
        super().__init__([choice], below=[self._night, self._seq_num, self._image, self._pictures])
        if day_obs and labels:
            self.in_background(self.show_night, "Counting")

    def show_night(self) -> None:
        """Show what the chosen repository holds of the chosen night."""
        self._seq_num.options = []
        self._night.value = self._image.value = ""
        self._show_pictures([])
        try:
            holdings = self._repositories.holdings(self._repository.value, int(self._day_obs.value or 0))
        except (CommtoolsError, ValueError) as error:
            self.tell(error, Tone.BAD)
            return
        held = len(holdings.items) - len(holdings.missing)
        tone = Tone.WARNING if holdings.missing else Tone.GOOD
        self.tell(f"{held} of {len(holdings.items)} images are there.", tone)
        self._night.value = _night_table(holdings)
        self._filling = True
        self._seq_num.options = sorted({item.seq_num for item in holdings.items})
        self._seq_num.index = 0 if self._seq_num.options else None
        self._filling = False
        self.show_image()

    def show_image(self) -> None:
        """Show where the chosen image is, with a thumbnail of each detector."""
        if self._seq_num.value is None:
            return
        label = self._repository.value
        instrument = self._repositories.get(label).instrument or None
        try:
            located = self._repositories.locate(
                (int(self._day_obs.value), int(self._seq_num.value)), label, instrument=instrument
            )
        except CommtoolsError as error:
            self.tell(error, Tone.BAD)
            return
        self._image.value = _image_table(located)
        self._show_pictures([place.path for place in located.winners if place.exists])

    def _choose(self, change: Any) -> None:
        if change.new is not None and not self._filling:
            self.in_background(self.show_image, "Looking")

    def _show_pictures(self, paths: list[str]) -> None:
        pictures: list[Any] = []
        shown = paths[:_MAX_THUMBNAILS]
        for number, path in enumerate(shown, 1):
            self.progress("Thumbnails", number, len(shown))
            name = ipywidgets.HTML(f"<small>{safe(Path(path).name)}</small>")
            try:
                picture: Any = ipywidgets.Image(value=make_thumbnail(path), format="png")
            except InputError as error:
                picture = ipywidgets.HTML(safe(error.message))
            pictures.append(ipywidgets.VBox([picture, name]))
        self._pictures.children = tuple(pictures)


def _night_table(holdings: Holdings) -> str:
    """Give exposures by detectors as a table, each cell with a word as well as a colour."""
    frame = holdings.to_frame()
    rows = [
        [f"<b>{safe(seq_num)}</b>", *(badge(word, _HELD.get(str(word), Tone.WARNING)) for word in row)]
        for seq_num, row in frame.iterrows()
    ]
    return table("images of the night", ("seq_num", *frame.columns), rows) if rows else ""


def _image_table(located: Located) -> str:
    header = ("", "detector", "collection", "path")
    rows = [
        [safe("found" if place.wins else "shadowed"), safe(place.detector),
         safe(place.collection or place.root), safe(place.path)]
        for place in located.locations
    ]  # fmt: skip
    log = f"<p><code>{safe(located.log)}</code></p>" if located.log else ""
    shown = table("places of the image", header, rows) if rows else ""
    return f"<p><b>{safe(located.station.value)}</b>: {safe(located.reason)}</p>{log}{shown}"
