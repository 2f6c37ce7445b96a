from __future__ import annotations

import ast
import datetime as dt
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import ParameterError
from lsst_commtools.procedure.parameters import (
    check_parameters,
    convert,
    from_text,
    help_rows,
    injected_source,
    json_schema,
    json_values,
    read_parameters,
)

CELL = """# Parameters
day_obs: int = 20261120  # Night to look at
exposure_s: float = 2.0  # Exposure time {min: 0.1, max: 30, unit: s}
csc: "csc" = "DIMM:1"  # CSC to test
raw: Path = Path("/data")
start: "datetime" = None
night: "date | None" = None
mode: "Literal['fast', 'slow']" = "fast"
filters: list[str] = ["g", "r"]
counts = [1, 2]  # type: List[int] How many
verbose: bool = False
api_token: str = ""
# What is
# computed
later = 3 * 2
free = None
"""


@pytest.fixture(scope="module")
def parameters():
    return {p.name: p for p in read_parameters(CELL)}


def test_types_are_read_from_annotations_comments_and_names(parameters):
    types = {name: p.type_text for name, p in parameters.items()}
    assert types == {
        "day_obs": "day_obs",
        "exposure_s": "float",
        "csc": "csc",
        "raw": "path",
        "start": "datetime or None",
        "night": "date or None",
        "mode": "str",
        "filters": "list[str]",
        "counts": "list[int]",
        "verbose": "bool",
        "api_token": "str",
        "later": "any",
        "free": "any or None",
    }
    assert parameters["day_obs"].help == "Night to look at"
    assert parameters["exposure_s"].help == "Exposure time"
    assert (parameters["exposure_s"].minimum, parameters["exposure_s"].maximum) == (0.1, 30)
    assert parameters["later"].help == "What is computed"
    assert parameters["counts"].help == "How many"
    assert parameters["api_token"].secret
    assert parameters["mode"].choices == ("fast", "slow")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("day_obs", "20261120", 20261120),
        ("exposure_s", 3, 3.0),
        ("exposure_s", np.float32(0.5), 0.5),
        ("csc", "MTHexapod:2", "MTHexapod:2"),
        ("raw", "x/y", Path("x/y")),
        ("start", "2026-11-20T23:00:00", dt.datetime(2026, 11, 20, 23)),  # noqa: DTZ001 - parameters may be naive
        ("night", None, None),
        ("night", "2026-11-20", dt.date(2026, 11, 20)),
        ("filters", ("i",), ["i"]),
        ("counts", [np.int64(4)], [4]),
    ],
)
def test_values_that_fit(parameters, name, value, expected):
    result = convert(parameters[name], value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("day_obs", 20261131),
        ("day_obs", True),
        ("exposure_s", "2.0"),
        ("exposure_s", 31),
        ("exposure_s", float("nan")),
        ("exposure_s", None),
        ("csc", "DIMM:*"),
        ("csc", "DIMM; reboot"),
        ("raw", ""),
        ("night", "2026-02-30"),
        ("night", dt.datetime(2026, 11, 20, tzinfo=dt.UTC)),
        ("mode", "Fast"),
        ("filters", "gr"),
        ("filters", [1]),
        ("counts", [1, "2"]),
        ("counts", [True]),
        ("verbose", 1),
    ],
)
def test_values_that_do_not_fit(parameters, name, value):
    with pytest.raises(ParameterError) as raised:
        convert(parameters[name], value)
    assert name in raised.value.message


def test_all_misfits_are_named_at_once_and_unknown_names_are_errors(parameters):
    with pytest.raises(ParameterError) as raised:
        check_parameters(list(parameters.values()), {"exposure": 1, "day_obs": "no", "verbose": "yes"})
    for text in ("'exposure_s'", "day_obs", "verbose", "No kernel"):
        assert text in str(raised.value)


def test_a_secret_that_does_not_fit_is_not_shown(parameters):
    with pytest.raises(ParameterError) as raised:
        convert(parameters["api_token"], 123456789)
    assert "123456789" not in str(raised.value)


def test_plain_papermill_is_as_lenient_as_it_was_but_for_declared_types():
    declared = read_parameters("a: int = 1\nb = 2\n")
    assert check_parameters(declared, {"b": "text", "c": 3}, lenient=True) == {"b": "text", "c": 3}
    with pytest.raises(ParameterError):
        check_parameters(declared, {"a": "not an int"}, lenient=True)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("exposure_s", "3", 3),
        ("csc", "DIMM:1", "DIMM:1"),
        ("filters", "g,r", ["g", "r"]),
        ("filters", "[g, 1]", ["g", "1"]),
        ("counts", "1,2", [1, 2]),
        ("night", "None", None),
        ("night", "2026-11-20", "2026-11-20"),
        ("verbose", "true", True),
        ("free", "{a: 1}", {"a": 1}),
        ("free", "[broken", "[broken"),
    ],
)
def test_the_command_line_reads_text_by_type(parameters, name, text, expected):
    assert from_text(parameters[name], text) == expected


def test_a_cell_with_broken_lines_is_read_as_far_as_it_goes():
    found = {p.name: p for p in read_parameters("a: float = 2.25 # Variable a\nc: 'NoneType' = None\n= 2\n")}
    assert found["a"].kind == "float"
    assert found["a"].help == "Variable a"
    assert found["c"].kind == "any"


def test_options_that_nobody_knows_are_an_error():
    with pytest.raises(ParameterError, match="minimum"):
        read_parameters("a: int = 1  # {minimum: 3}")


def test_nothing_of_the_cell_is_run(tmp_path):
    marker = tmp_path / "ran"
    read_parameters(f"a: int = open({str(marker)!r}, 'w').write('x')")
    assert not marker.exists()


def test_the_schema_accepts_and_refuses_what_the_check_does(parameters):
    schema = json_schema("nb", list(parameters.values()))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"day_obs": 20261120, "mode": "slow", "filters": ["g"], "night": None})
    for bad in ({"mode": "Fast"}, {"exposure_s": 31}, {"counts": ["x"]}, {"nothing": 1}, {"csc": "DIMM:*"}):
        assert not validator.is_valid(bad)
    assert "default" not in schema["properties"]["api_token"]
    assert len(help_rows(list(parameters.values()))) == len(parameters)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.dates()
    | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(values)
def test_injected_source_builds_the_value_again(value):
    space: dict[str, object] = {}
    source = injected_source({"x": value})
    ast.parse(source)
    exec(source, space)
    assert space["x"] == value


def test_injected_values_of_other_types_are_refused_or_written():
    space: dict[str, object] = {}
    exec(injected_source({"p": Path("/a"), "n": np.int64(3), "f": float("inf")}), space)
    assert space["p"] == Path("/a")
    assert space["n"] == 3
    assert space["f"] == float("inf")
    with pytest.raises(ParameterError):
        injected_source({"x": object()})
    assert json_values({"d": dt.date(2026, 1, 2), "p": Path("/a"), "f": float("nan")}) == {
        "d": "2026-01-02",
        "p": "/a",
        "f": "nan",
    }
