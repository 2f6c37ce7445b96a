"""The campaign file: notebooks, parameters, matrices, dependencies."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    ValidationError,
    model_validator,
)

from lsst_commtools.errors import InputError, NotFoundError

__all__ = ["Campaign", "Entry", "Reference", "load_campaign"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
_MOST_BYTES = 1 << 20


def _check_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("is not a short name of letters, digits, '.', '_' and '-'")
    return value


Name = Annotated[str, AfterValidator(_check_name)]
Value = bool | int | float | str | dt.datetime | dt.date | list[Any] | None


class Reference(BaseModel):
    """A result of an earlier notebook as a parameter of a later one.

    Parameters
    ----------
    source
        Identifier of the earlier one, written ``from`` in the file.
    result
        Name under which it was measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: str = Field(alias="from")
    result: str


class Entry(BaseModel):
    """A notebook of a campaign, once for each point of its matrix.

    Parameters
    ----------
    id
        Its name in the campaign.
    notebook
        The file, relative to the campaign file.
    parameters
        Values by name, or references to results of those that it needs.
    matrix
        Parameter name to values; the notebook is run for each combination.
    needs
        Entries that must be done before; those that parameters refer to are needed without being named here.
    inputs
        Files that it reads: when one changes, it is run again.
    idempotent
        Whether running it twice does no harm. Only such a notebook is ever run again by itself.
    retries
        How often it is tried again after a failure.
    batch
        Whether it runs in a fork without a kernel: for quality checks only.
    kernel
        Name of the kernelspec, by default that of the campaign.
    cell_timeout_s, run_timeout_s
        Limits, in seconds, by default those of the site.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: Name
    notebook: Path
    parameters: dict[str, Reference | Value] = Field(default_factory=dict)
    matrix: dict[str, Annotated[list[Value], Field(min_length=1)]] = Field(default_factory=dict)
    needs: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()
    idempotent: bool = False
    retries: NonNegativeInt = 0
    batch: bool = False
    kernel: str | None = None
    cell_timeout_s: PositiveFloat | None = None
    run_timeout_s: PositiveFloat | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.idempotent and self.retries:
            raise ValueError("only an idempotent notebook may be retried")
        if not self.idempotent and self.batch:
            raise ValueError("only an idempotent notebook may run in a batch")
        both = sorted(set(self.parameters) & set(self.matrix))
        if both:
            raise ValueError(f"{both[0]} is a parameter and an axis of the matrix")
        return self

    @property
    def all_needs(self) -> list[str]:
        """Identifiers of the entries that must be done before, each once."""
        referred = [value.source for value in self.parameters.values() if isinstance(value, Reference)]
        return list(dict.fromkeys([*self.needs, *referred]))


class Campaign(BaseModel):
    """Notebooks that belong together.

    Parameters
    ----------
    campaign
        Its name.
    notebooks
        What is run.
    kernel
        Name of the kernelspec.
    output
        Folder of the output notebooks, relative to the campaign file.
    folder
        Where the campaign file lies; not written in it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    campaign: Name
    notebooks: Annotated[tuple[Entry, ...], Field(min_length=1)]
    kernel: str = "commtools-warm"
    output: Path = Path("output")
    folder: Path = Path()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = [entry.id for entry in self.notebooks]
        twice = [name for name in known if known.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is there twice")
        for entry in self.notebooks:
            missing = [name for name in entry.all_needs if name not in known]
            if missing:
                raise ValueError(f"{entry.id} needs {missing[0]}, which is not there")
        return self


def load_campaign(path: Path) -> Campaign:
    """Read a campaign file.

    Parameters
    ----------
    path
        YAML.

    Returns
    -------
    Campaign
        With absolute paths.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InputError
        If it is not a campaign.
    """
    path = path.expanduser().absolute()
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"There is no campaign file {path}.") from None
    except OSError as error:
        raise InputError(f"The campaign file {path} cannot be read: {error.strerror}.") from None
    if len(content) > _MOST_BYTES:
        raise InputError(f"The campaign file {path} is too large.")
    try:
        document = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise InputError(f"The campaign file {path.name} is not YAML{where}.") from None
    if not isinstance(document, dict):
        raise InputError(f"The campaign file {path.name} does not hold a campaign.")
    try:
        return Campaign.model_validate({**document, "folder": path.parent})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the top level"
        raise InputError(
            f"The campaign file {path.name} cannot be used: {where}: {first['msg']}.",
            changed="Nothing was run.",
        ) from None
