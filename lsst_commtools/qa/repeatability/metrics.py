"""Astrometric figures of the survey's requirements (LPM-17, tables of section 3.3) from star tables of many visits.

AM: rms over visits of the separation of a pair of stars, the median over all pairs at 5', 20', 200'. AF: how many of
all separations deviate by more than AD (its design value) from the median, in percent. AD: the deviation that AF
(its design value) percent exceed. AB: distance of an object's mean positions in two bands, rms; ABF: how many of their
coordinates deviate by more than AB2 from the mean. AA: median of measured minus reference position, per coordinate.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lsst_commtools.errors import InputError, ServiceError
from lsst_commtools.qa.limits import SRD_LIMITS, Limit, Status, worst
from lsst_commtools.qa.references import ReferenceStars
from lsst_commtools.qa.repeatability.bands import band_offsets
from lsst_commtools.qa.repeatability.collect import Collected, collect
from lsst_commtools.qa.repeatability.coordinates import CoordinateSums
from lsst_commtools.qa.repeatability.measurement import Measurement
from lsst_commtools.qa.repeatability.separations import Centre, SeparationSums
from lsst_commtools.qa.repeatability.sources import SourceRows
from lsst_commtools.qa.repeatability.tiles import TileStore
from lsst_commtools.qa.workers import Here, Workers

__all__ = ["DEFAULT_MEMORY_BYTES", "SEPARATIONS_ARCMIN", "Repeatability", "measure_repeatability"]

SEPARATIONS_ARCMIN: Mapping[str, float] = {"1": 5.0, "2": 20.0, "3": 200.0}
"""D of AM1, AM2, AM3, and of AF and AD likewise."""
DEFAULT_MEMORY_BYTES = 2 << 30
_OWN_SHARE = 0.75
_PIECES = 64
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Repeatability:
    """Figures of a set of visits.

    Parameters
    ----------
    measurements
        Name to figure: AM1 to AM3, AF1 to AF3, AD1 to AD3, AB1, ABF1, AA1, dmL2AstroErr_RA and dmL2AstroErr_Dec.
    separations
        Sums over pairs at each D, for figures of merit to be drawn.
    coordinates
        Sums over objects, likewise.
    band
        That was measured; empty where the tables do not say.
    n_rows, n_used
        Rows before and after the cuts, of all bands.
    n_objects, n_visits
        How many gave the figures.
    notes
        What a reader should know: rows left out, motions taken out.
    visits
        By rising number.
    """

    measurements: Mapping[str, Measurement]
    separations: Mapping[str, SeparationSums]
    coordinates: CoordinateSums
    band: str
    n_rows: int
    n_used: int
    n_objects: int
    n_visits: int
    notes: tuple[str, ...] = field(default=())
    visits: tuple[int, ...] = field(default=())

    @property
    def status(self) -> Status:
        """The worst verdict of those that have a value; unknown where none has."""
        known = [m.status for m in self.measurements.values() if m.status not in (None, Status.UNKNOWN)]
        return worst(s for s in known if s is not None)

    def document(self) -> dict[str, Any]:
        """Give the figures for JSON.

        Returns
        -------
        dict
            Name to figure.
        """
        return {name: m.document() for name, m in self.measurements.items()}


def measure_repeatability(
    sources: Iterable[SourceRows],
    *,
    band: str | None = None,
    references: ReferenceStars | None = None,
    centre: Centre = "median",
    limits: Mapping[str, Limit] = SRD_LIMITS,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    scratch: Path | None = None,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> Repeatability:
    """Measure the astrometric repeatability of a set of visits.

    Parameters
    ----------
    sources
        Rows of star tables after the cuts, from `read_sources`.
    band
        Band to measure; by default r where tables have bands, or the only one.
    references
        Reference catalogue: gives AA1, and takes known proper motions out where the tables have epochs.
    centre
        What AF and AD deviate from. The document says "from the median", so the default is the median of the pair's
        separations (faro does so); "mean" takes the pair's mean (analysis_tools).
    limits
        Requirements.
    memory_bytes
        Bound on memory, for any number of rows; what does not fit goes to the scratch folder.
    scratch
        Where a temporary folder may be made; by default the system's. Workers on other machines must see it too.
    workers
        Who forms the pairs; by default this process. The figures are the same, whoever does it.
    progress
        Called with stage, parts done, parts in all.

    Returns
    -------
    Repeatability
        Figures. What cannot be measured is unknown, with a reason.

    Raises
    ------
    InputError
        If the tables have several bands, not the one that is asked for, or ids only in part.
    """
    with tempfile.TemporaryDirectory(prefix="commtools-repeatability-", dir=scratch) as folder:
        found = collect(sources, Path(folder), int(_OWN_SHARE * memory_bytes))
        chosen = _choose_band(found, band)
        store = found.bands.get(chosen, TileStore())
        coordinates = CoordinateSums(references, found.visit_epochs)
        separations = {
            number: SeparationSums(d, limits[f"AD{number}_mas"].design, centre)
            for number, d in SEPARATIONS_ARCMIN.items()
        }
        trouble = _trouble(found, store)
        if not trouble:
            store = coordinates.measure(store, Path(folder))
            if workers is not None:
                place = Path(folder) / "pieces"
                place.mkdir()
                store = store.written(place)
            add_pairs(separations, store, workers or Here(), progress)
        measurements = _pair_measurements(separations, limits, trouble)
        others = [name for name in found.bands if name != chosen]
        other_than_r = f"{chosen} is measured, and it is r that is compared with another band"
        measurements |= band_offsets(
            store, {name: found.bands[name] for name in others}, limits,
            trouble or ("" if chosen in ("r", "") else other_than_r), by_position=found.by_position,
        )  # fmt: skip
        measurements |= coordinates.measurements(limits, trouble)
        return Repeatability(
            measurements, separations, coordinates, band or chosen, found.n_rows, found.n_used, store.n_objects,
            len(found.visits), _notes(found, store, coordinates, chosen), tuple(sorted(found.visits)),
        )  # fmt: skip


def add_pairs(
    separations: Mapping[str, SeparationSums],
    store: TileStore,
    workers: Workers,
    progress: Progress | None = None,
) -> None:
    """Add all pairs of all tiles, each once.

    Parameters
    ----------
    separations
        Number to sums of one separation; added to.
    store
        Tiles.
    workers
        Who does the pieces: some tiles with all their partners each.
    progress
        Called with stage, pieces done, pieces in all.

    Raises
    ------
    ServiceError
        If the workers do not see the tiles, or are lost.
    """
    if not len(store):
        return
    kinds = {number: sums.kind for number, sums in separations.items()}
    n_pieces = min(len(store), _PIECES)
    numbers = np.array_split(np.arange(len(store)), n_pieces)
    pieces = ((store, kinds, part.tolist()) for part in numbers)
    try:
        for done, added in enumerate(workers.map(_pairs_of_tiles, pieces), start=1):
            for number, sums in added.items():
                separations[number].merge(sums)
            if progress is not None:
                progress("pairs", done, n_pieces)
    except FileNotFoundError as error:
        raise ServiceError(
            f"The workers do not see the folder {store.folder}.",
            changed="Nothing was written.",
            advice="Choose one that all of them see with --scratch.",
        ) from error


def _pairs_of_tiles(
    piece: tuple[TileStore, Mapping[str, tuple[float, float, Centre]], list[int]],
) -> dict[str, SeparationSums]:
    """Sum up the pairs of some tiles with themselves and with their later partners."""
    store, kinds, numbers = piece
    added = {number: SeparationSums(*kind) for number, kind in kinds.items()}
    for number in numbers:
        tile = store.load(number)
        for sums in added.values():
            sums.add(tile, tile)
            for partner in store.partners(number, sums.reach_rad):
                sums.add(tile, store.load(partner))
    return added


def _choose_band(found: Collected, band: str | None) -> str:
    bands = sorted(found.bands)
    if band is None:
        if "r" in bands or len(bands) <= 1:
            return "r" if "r" in bands else "".join(bands)
        raise InputError(f"The tables hold the bands {', '.join(bands)}.", advice="Choose one with --band.")
    if band in bands or bands in ([], [""]):
        return band if band in bands else ""
    raise InputError(f"The tables hold no stars in {band}, but in {', '.join(bands)}.")


def _trouble(found: Collected, store: TileStore) -> str:
    """Say why nothing can be measured; empty where it can."""
    if not found.n_rows:
        return "the tables have no rows"
    if not found.n_used:
        return f"none of {found.n_rows} rows has a finite position and passes the cuts"
    if store.n_duplicates and store.duplicate is not None:
        key, visit = store.duplicate
        return (
            f"{store.n_duplicates} rows measure an object a second time in the same visit (object {key}, "
            f"visit {visit}): which of them is the star cannot be told"
        )
    if not store.n_objects:
        return "no row can be told from its neighbours"
    return ""


def _pair_measurements(
    separations: Mapping[str, SeparationSums], limits: Mapping[str, Limit], trouble: str
) -> dict[str, Measurement]:
    rms, percent, deviation = {}, {}, {}
    for number, sums in separations.items():
        am, af, ad = limits[f"AM{number}_mas"], limits[f"AF{number}_percent"], limits[f"AD{number}_mas"]
        n_pairs, d = sums.rms_mas.n, f"{sums.separation_arcmin:g}"
        why = trouble or ("" if sums.n_pairs else f"no two stars lie {d} arcmin apart, to 1 arcmin")
        no_rms = why or ("" if n_pairs else f"no pair at {d} arcmin was seen together in 2 visits")
        rms[f"AM{number}"] = (
            Measurement.unknown("mas", am, no_rms)
            if no_rms
            else Measurement(sums.rms_mas.quantile(0.5), sums.rms_mas.quantile_error(0.5), "mas", n_pairs, am)
        )
        n_pairs = sums.n_deviating_pairs
        why = why or ("" if n_pairs else f"no pair at {d} arcmin was seen together in 3 visits")
        if why:
            percent[f"AF{number}"] = Measurement.unknown("percent", af, why)
            deviation[f"AD{number}"] = Measurement.unknown("mas", ad, why)
            continue
        tally, fraction = sums.deviation_mas, 1.0 - af.design / 100.0
        percent[f"AF{number}"] = Measurement(
            tally.percent_beyond(), tally.percent_beyond_error(), "percent", n_pairs, af,
            parts={"beyond_mas": sums.threshold_mas},
        )  # fmt: skip
        deviation[f"AD{number}"] = Measurement(
            tally.quantile(fraction), tally.quantile_error(fraction), "mas", n_pairs, ad,
            parts={"exceeded_by_percent": af.design},
        )  # fmt: skip
    return rms | percent | deviation


def _notes(found: Collected, store: TileStore, coordinates: CoordinateSums, chosen: str) -> tuple[str, ...]:
    notes = [f"{found.n_used} of {found.n_rows} rows pass the cuts"]
    if found.by_position:
        notes.append("the tables have no object ids: objects are made from positions")
    if found.n_ambiguous:
        notes.append(f"{found.n_ambiguous} rows left out: another source lies too near")
    if store.n_stray:
        notes.append(f"{store.n_stray} rows left out: they lie more than 10 arcsec from their object")
    if coordinates.n_moved:
        notes.append(f"known proper motions of {coordinates.n_moved} objects taken out")
    if not chosen:
        notes.append("the tables do not tell the band")
    return tuple(notes)
