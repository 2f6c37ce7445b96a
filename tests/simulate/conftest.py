"""A small simulated night that several tests look at."""

from __future__ import annotations

import pytest

from lsst_commtools.simulate import Fault, simulate_night


@pytest.fixture(scope="session")
def small_night(tmp_path_factory):
    """One visit of two detectors, without faults; not to be changed."""
    folder = tmp_path_factory.mktemp("small_night")
    return simulate_night(folder, visits=1, biases=1, flats=1, size=(512, 512), detectors=[0, 4], processes=1)


@pytest.fixture(scope="session")
def faulty_night(tmp_path_factory):
    """Three visits of four detectors with every fault there is; not to be changed."""
    folder = tmp_path_factory.mktemp("faulty_night")
    return simulate_night(
        folder,
        visits=3,
        biases=1,
        flats=1,
        size=(256, 256),
        detectors=[0, 1, 4, 8],
        faults=Fault,
        processes=1,
    )
