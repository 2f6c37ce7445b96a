"""Git, stack and lab spellings of one build."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsst_commtools.errors import IdentifierError
from lsst_commtools.images import Spelling, convert_release
from lsst_commtools.images.spellings import spelling_of

ROWS = [
    ("r23_0_0", "v23_0_0", "23.0.0"),
    ("r23_0_0_rc1", "v23_0_0_rc1", "23.0.0.rc1"),
    ("w_2021_22", "w_2021_22", "w.2021.22"),
    ("d_2021_05_27", "d_2021_05_27", "d.2021.05.27"),
]


@pytest.mark.parametrize("names", ROWS)
def test_each_spelling_becomes_each_other(names):
    for name in names:
        for to, wanted in zip((Spelling.LAB, Spelling.STACK, Spelling.GIT), names, strict=True):
            assert convert_release(name, to) == wanted


def test_the_lab_spelling_alone_has_an_rsp_build():
    assert convert_release("23.0.0", Spelling.LAB, rsp_build=7) == "r23_0_0_rsp7"
    assert convert_release("r23_0_0_rsp7", Spelling.GIT) == "23.0.0"
    assert convert_release("r23_0_0_rsp7", Spelling.STACK) == "v23_0_0"
    assert convert_release("r23_0_0_rsp7", Spelling.LAB) == "r23_0_0_rsp7"
    assert convert_release("r170", Spelling.GIT) == "17.0.0"
    assert convert_release("w_2021_22_c0020.001-amd64", Spelling.STACK) == "w_2021_22"


@pytest.mark.parametrize(
    "name", ["", "recommended", "23.0", "v23.0.0", "23_0_0", "exp_w_2021_22", "w_2021_53"]
)
def test_what_names_no_build_is_refused(name):
    with pytest.raises(IdentifierError):
        convert_release(name, Spelling.GIT)


def test_spellings_are_told_apart():
    assert spelling_of("23.0.0") is Spelling.GIT
    assert spelling_of("v23_0_0") is Spelling.STACK
    assert spelling_of("r23_0_0_rsp7") is Spelling.LAB
    assert spelling_of("23_0_0") is None


@given(st.tuples(*[st.integers(0, 999)] * 3), st.one_of(st.none(), st.integers(0, 99)))
def test_there_and_back(version, candidate):
    git = ".".join(map(str, version)) + ("" if candidate is None else f".rc{candidate}")
    for via in Spelling:
        assert convert_release(convert_release(git, via), Spelling.GIT) == git
