"""Streams of random numbers that depend on the night's seed and on nothing else."""

from __future__ import annotations

import enum

import numpy as np

__all__ = ["Stream", "generator"]


class Stream(enum.IntEnum):
    """What a stream of random numbers is for; the values are part of what a seed means."""

    FIELD = 1
    CATALOGUE = 2
    SCHEDULE = 3
    VISIT = 4
    DISTORTION = 5
    PSF = 6
    JITTER = 7
    DETECTOR = 8
    PIXELS = 9
    COSMIC_RAYS = 10
    READOUT = 11
    TRAIL = 12
    DARK = 13


def generator(seed: int, stream: Stream, *keys: int) -> np.random.Generator:
    """Give the random numbers of one purpose.

    Parameters
    ----------
    seed
        Seed of the night.
    stream
        What the numbers are for.
    *keys
        What tells this use from others of the same purpose: field, seq_num, detector.

    Returns
    -------
    numpy.random.Generator
        The same for the same arguments, in whatever process or order it is asked for.
    """
    return np.random.default_rng([seed, int(stream), *keys])
