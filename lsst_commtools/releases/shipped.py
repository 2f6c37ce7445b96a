"""The model that comes with the package.

It is made from the two sources by ``python -m lsst_commtools.releases.shipped TEXT TABLE``.
"""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.releases.model import ReleaseModel, SourceModel
from lsst_commtools.releases.table_parser import parse_table
from lsst_commtools.releases.text_parser import parse_text

__all__ = ["model_json", "read_model", "shipped_model"]

_SHIPPED = "releases.json"


def read_model(text: Path | str | None, table: Path | str | None) -> ReleaseModel:
    """Read the sources.

    Parameters
    ----------
    text
        The release document as text; None to leave it out.
    table
        The table of milestones as CSV; None to leave it out.

    Returns
    -------
    ReleaseModel
        What can be read, and the anomalies.

    Raises
    ------
    NotFoundError
        If a file is missing.
    TableError
        If a file cannot be opened.
    """
    sources: list[SourceModel] = []
    if text is not None:
        sources.append(parse_text(_contents(text)))
    if table is not None:
        sources.append(parse_table(_contents(table)))
    return ReleaseModel(tuple(sources))


def _contents(path: Path | str) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {str(path)!r}.") from None
    except OSError as error:
        raise TableError(f"The file {str(path)!r} cannot be read: {error.strerror}.") from None


def shipped_model() -> ReleaseModel:
    """Give the model that comes with the package.

    Returns
    -------
    ReleaseModel
        Made of LDM-564 of 2017-08-09 and of its authors' table.
    """
    path = resources.files("lsst_commtools.releases") / "data" / _SHIPPED
    return ReleaseModel.from_dict(json.loads(path.read_text(encoding="utf-8")))


def model_json(model: ReleaseModel) -> str:
    """Write a model in the form in which it is shipped.

    Parameters
    ----------
    model
        The model.

    Returns
    -------
    str
        JSON with a line end.
    """
    return json.dumps(model.to_dict(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("data").joinpath(_SHIPPED).write_text(
        model_json(read_model(sys.argv[1], sys.argv[2])), encoding="utf-8"
    )
