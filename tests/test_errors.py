"""One tree of errors."""

import re

import pytest

from lsst_commtools import errors
from lsst_commtools.errors import CommtoolsError, error_table

CLASSES = list(error_table().values())


@pytest.mark.parametrize("kind", CLASSES)
def test_each_error_says_what_changed_and_what_to_do(kind):
    error = kind("It broke.", changed="Nothing was changed.", advice="Try again.")
    assert str(error) == "It broke. Nothing was changed. Try again."
    assert error.to_dict() == {
        "code": kind.code, "message": "It broke.", "changed": "Nothing was changed.", "advice": "Try again.",
    }  # fmt: skip


def test_codes_are_unique_stable_words():
    codes = [kind.code for kind in CLASSES]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


def test_exit_codes_are_those_of_the_command_line():
    assert {kind.exit_code for kind in CLASSES} == {1, 2, 3}


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InputError, ValueError),
        (errors.NotFoundError, LookupError),
        (errors.ServiceError, OSError),
        (errors.ServiceTimeoutError, TimeoutError),
    ],
)
def test_errors_are_also_the_builtin_that_they_are(kind, builtin):
    with pytest.raises(builtin):
        raise kind("x")


def test_tree_is_drawn_with_every_class_once():
    drawn = re.findall(r"(\w+Error)\b(?: \((\w+)\))?  ", errors.__doc__ or "")
    assert sorted(name for name, _ in drawn) == sorted(kind.__name__ for kind in CLASSES)


def test_a_shared_code_is_noticed():
    class ClashError(CommtoolsError):
        code = "input"

    try:
        with pytest.raises(RuntimeError, match="input"):
            error_table()
    finally:
        ClashError.code = "clash-of-the-test"
