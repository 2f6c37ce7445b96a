"""One band against the others: AB1 and ABF1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.qa.limits import Limit
from lsst_commtools.qa.match import match_sky
from lsst_commtools.qa.repeatability.coordinates import offsets_mas
from lsst_commtools.qa.repeatability.measurement import Measurement
from lsst_commtools.qa.repeatability.objects import LARGEST_SPREAD_ARCSEC, ObjectSet
from lsst_commtools.qa.repeatability.tiles import TileStore

__all__ = ["band_offsets"]

_RADIUS_ARCSEC = 0.5


def band_offsets(
    store: TileStore,
    others: Mapping[str, TileStore],
    limits: Mapping[str, Limit],
    trouble: str,
    *,
    by_position: bool,
) -> dict[str, Measurement]:
    """Compare the mean positions of objects in one band with those in each other band.

    Parameters
    ----------
    store
        Objects in the band.
    others
        Band to its objects.
    limits
        Requirements.
    trouble
        Why nothing can be measured; empty where it can.
    by_position
        Whether objects have no ids and are matched by position.

    Returns
    -------
    dict
        AB1 and ABF1, of the worst other band; each band's value is among their parts.
    """
    rms, beyond = {}, {}
    reasons = [trouble] if trouble else []
    for band, other in others.items():
        if trouble:
            break
        if other.n_duplicates:
            reasons.append(f"in {band} objects are measured twice in the same visit")
            continue
        offset = np.concatenate(
            [
                np.empty((2, 0)),
                *(_offsets(one, two, by_position=by_position) for one, two in _tile_pairs(store, other)),
            ],
            axis=1,
        )
        if not offset.shape[1]:
            reasons.append(f"no object was seen in {band} as well")
            continue
        rms[band] = _rms(offset, limits["AB1_mas"])
        beyond[band] = _beyond(offset, limits["ABF1_percent"], limits["AB2_mas"].design)
    if not rms:
        why = "; ".join(reasons) or "the tables hold one band only"
        return {
            "AB1": Measurement.unknown("mas", limits["AB1_mas"], why),
            "ABF1": Measurement.unknown("percent", limits["ABF1_percent"], why),
        }
    return {"AB1": _worst(rms), "ABF1": _worst(beyond)}


def _tile_pairs(store: TileStore, other: TileStore) -> Iterator[tuple[ObjectSet, ObjectSet]]:
    reach = np.radians(LARGEST_SPREAD_ARCSEC / 3600.0)
    for k, tile in enumerate(store.tiles):
        for m, second in enumerate(other.tiles):
            cosine = np.clip(tile.centre @ second.centre, -1.0, 1.0)
            if np.arccos(cosine) <= tile.radius_rad + second.radius_rad + reach + 1e-6:
                yield store.load(k), other.load(m)


def _mean_position_mas(objects: ObjectSet) -> NDArray[np.float64]:
    owner, counts = objects.owner, objects.n_visits
    return np.stack(
        [np.bincount(owner, v, len(objects)) / counts for v in (objects.east_mas, objects.north_mas)]
    )


def _offsets(one: ObjectSet, two: ObjectSet, *, by_position: bool) -> NDArray[np.float64]:
    if by_position:
        index, partner, _ = match_sky(one.ra_deg, one.dec_deg, two.ra_deg, two.dec_deg, _RADIUS_ARCSEC)
    else:
        _, index, partner = np.intersect1d(one.key, two.key, return_indices=True)
    offset = offsets_mas(two.ra_deg[partner], two.dec_deg[partner], one.ra_deg[index], one.dec_deg[index])
    offset = offset + _mean_position_mas(two)[:, partner] - _mean_position_mas(one)[:, index]
    near = np.hypot(*offset) <= 1e3 * LARGEST_SPREAD_ARCSEC
    return np.asarray(offset[:, near])


def _rms(offset: NDArray[np.float64], limit: Limit) -> Measurement:
    squares = (offset**2).sum(axis=0)
    value = float(np.sqrt(squares.mean()))
    error = (
        float(squares.std(ddof=1) / np.sqrt(len(squares)) / (2.0 * value))
        if len(squares) > 1 and value
        else np.nan
    )
    return Measurement(value, error, "mas", len(squares), limit)


def _beyond(offset: NDArray[np.float64], limit: Limit, largest_mas: float) -> Measurement:
    deviation = np.abs(offset - offset.mean(axis=1, keepdims=True))
    share = float((deviation > largest_mas).mean())
    error = 100.0 * float(np.sqrt(share * (1.0 - share) / deviation.size))
    return Measurement(
        100.0 * share, error, "percent", offset.shape[1], limit, parts={"beyond_mas": largest_mas}
    )


def _worst(measured: Mapping[str, Measurement]) -> Measurement:
    band = max(measured, key=lambda name: measured[name].value)
    one = measured[band]
    parts = {**one.parts, "band": band, "bands": {name: m.value for name, m in measured.items()}}
    return Measurement(one.value, one.error, one.unit, one.n_pairs, one.limit, parts=parts)
