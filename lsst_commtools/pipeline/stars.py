"""Which sources are PSF stars, and which of them are kept out of the PSF model to test it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["StarSettings", "choose_brightest", "choose_reserved", "find_extended", "select_psf_stars"]

_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class StarSettings:
    """How PSF stars are chosen.

    Parameters
    ----------
    minimum_snr
        HSM moments of fainter stars are biased by noise.
    least_snr
        Where there are too few bright stars, fainter ones are taken, down to this.
    wanted_stars
        How many bright stars are enough.
    locus_fraction
        Half width of the stellar locus in relative size, for a PSF that varies over the detector.
    reserved_fraction
        Part of the stars that the model never sees.
    """

    minimum_snr: float = 50.0
    least_snr: float = 20.0
    wanted_stars: int = 20
    locus_fraction: float = 0.12
    reserved_fraction: float = 0.2


def _half_sample_mode(values: NDArray[np.float64]) -> float:
    """Mode of a distribution by repeated choice of the shortest interval that holds half of it (Bickel 2002)."""
    ordered = np.sort(values)
    while ordered.size > 3:
        half = (ordered.size + 1) // 2
        start = int(np.argmin(ordered[half - 1 :] - ordered[: ordered.size - half + 1]))
        ordered = ordered[start : start + half]
    return float(np.median(ordered))


def choose_brightest(
    snr: NDArray[np.float64], good: NDArray[np.bool_], *, bright: float, least: float, wanted: int
) -> NDArray[np.bool_]:
    """Choose the stars above a signal to noise; where they are too few, fainter ones complete them.

    Parameters
    ----------
    snr
        Signal to noise of each source.
    good
        Those that may be chosen.
    bright
        All above are chosen.
    least
        None below is chosen.
    wanted
        How many are enough.

    Returns
    -------
    ndarray of bool
        True where chosen.
    """
    chosen = good & (snr >= bright)
    if chosen.sum() >= wanted:
        return chosen
    chosen = good & (snr >= least)
    if chosen.sum() > wanted:
        chosen &= snr >= np.sort(snr[chosen])[-wanted]
    return chosen


def select_psf_stars(
    size: NDArray[np.float64],
    snr: NDArray[np.float64],
    clean: NDArray[np.bool_],
    settings: StarSettings | None = None,
) -> NDArray[np.bool_]:
    """Choose the sources on the stellar locus: one size at all magnitudes.

    Parameters
    ----------
    size
        Any measure of length, NaN if it could not be measured.
    snr
        Signal to noise of the flux.
    clean
        Free of saturation, edges, cosmic rays and neighbours.
    settings
        Limits; the defaults if not given.

    Returns
    -------
    ndarray of bool
        True for PSF stars.
    """
    settings = settings or StarSettings()
    measured = clean & np.isfinite(size) & (size > 0)
    bright = choose_brightest(
        snr, measured, bright=settings.minimum_snr, least=settings.least_snr, wanted=settings.wanted_stars
    )
    if bright.sum() < 3:
        return bright
    centre = _half_sample_mode(size[bright])
    chosen = bright
    for _ in range(5):
        chosen = bright & (np.abs(size - centre) <= settings.locus_fraction * centre)
        if not chosen.any():
            return chosen
        previous, centre = centre, float(np.median(size[chosen]))
        if centre == previous:
            break
    return chosen


def find_extended(
    size: NDArray[np.float64], snr: NDArray[np.float64], stars: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Tell sources that are wider than the PSF stars.

    Parameters
    ----------
    size, snr
        As in `select_psf_stars`.
    stars
        The PSF stars.

    Returns
    -------
    ndarray of float32
        1 for extended, 0 for compact, NaN where the size or the locus is unknown.
    """
    extended = np.full(len(size), np.nan, dtype=np.float32)
    if not stars.any():
        return extended
    centre = float(np.median(size[stars]))
    width = max(_MAD_TO_SIGMA * float(np.median(np.abs(size[stars] - centre))), 0.03 * centre)
    # The size of a faint source is uncertain by about its own size over its signal to noise.
    limit = centre + 4.0 * np.hypot(width, centre / np.maximum(snr, 1.0))
    known = np.isfinite(size)
    extended[known] = (size > limit)[known]
    return extended


def choose_reserved(
    stars: NDArray[np.bool_], visit: int, detector: int, fraction: float = 0.2
) -> NDArray[np.bool_]:
    """Choose the stars that test the PSF model: the same for the same image, whoever processes it.

    Parameters
    ----------
    stars
        The PSF stars, in an order that does not depend on the run.
    visit, detector
        Data id, the only seed.
    fraction
        Part to reserve.

    Returns
    -------
    ndarray of bool
        True for reserved stars; with fewer than 5 stars none is.
    """
    reserved = np.zeros(len(stars), dtype=bool)
    places = np.flatnonzero(stars)
    number = round(fraction * places.size) if places.size >= 5 else 0
    chosen = np.random.default_rng([visit, detector]).permutation(places.size)[:number]
    reserved[places[chosen]] = True
    return reserved
