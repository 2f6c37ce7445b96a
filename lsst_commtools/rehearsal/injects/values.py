"""What a coordinator writes: faults, when they come, and what should be noticed of each."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from lsst_commtools.errors import CommtoolsError, InputError
from lsst_commtools.rehearsal.injects.catalogue import fault_kind
from lsst_commtools.rehearsal.injects.durations import Duration
from lsst_commtools.rehearsal.outline import OUTLINE, Role

__all__ = ["Expect", "Inject", "InjectPlan", "read_injects"]

_STEPS = tuple(step.id for step in OUTLINE)
_TIME = re.compile(r"(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)", re.ASCII)
_MAX_BYTES = 1 << 20


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Expect(_Table):
    """What should be noticed.

    Parameters
    ----------
    problem
        Kinds of problem, one of which names the fault; by default those that the catalogue gives.
    role
        Who should notice it; by default anybody.
    within
        Rehearsal time from the fault to the problem, with its unit.
    """

    problem: Annotated[tuple[str, ...], BeforeValidator(_one_or_many)] = ()
    role: Role | None = None
    within: Duration


class Inject(_Table):
    """One fault, prepared.

    Parameters
    ----------
    id
        Short name; unique within the file.
    fault
        Kind of fault, of the catalogue.
    night
        Number of the night, from 1.
    before, during, at_utc
        One of them: a step of the outline, before which or at the beginning of which it comes; or a time of the
        rehearsal ``HH:MM``, in the 24 hours from noon UTC of the night's date.
    lasts
        Rehearsal time after which it is undone, from the hour of the step; by default at the end of the rehearsal.
    parameters
        As the kind of fault takes them.
    expect
        What should be noticed.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}\z")
    fault: str
    night: int = Field(ge=1, le=1000)
    before: str = ""
    during: str = ""
    at_utc: str = ""
    lasts: Duration | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    expect: Expect

    @field_validator("before", "during")
    @classmethod
    def _step(cls, value: str) -> str:
        if value and value not in _STEPS:
            raise ValueError(f"the outline has no step {value!r}; it has {', '.join(_STEPS)}")
        return value

    @field_validator("at_utc")
    @classmethod
    def _time(cls, value: str) -> str:
        if value and not _TIME.fullmatch(value):
            raise ValueError('give a time of day as "HH:MM", in quotes')
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(map(bool, (self.before, self.during, self.at_utc))) != 1:
            raise ValueError("give one of before, during and at_utc")
        try:
            kind = fault_kind(self.fault)
        except CommtoolsError as error:
            raise ValueError(str(error).removesuffix(".")) from None
        kind.parameters.model_validate(self.parameters)
        if kind.needs_end and self.lasts is None:
            raise ValueError(f"{self.fault} needs lasts: nothing would go on before it is undone")
        return self

    @property
    def problems(self) -> tuple[str, ...]:
        """Kinds of problem that name this fault."""
        return self.expect.problem or fault_kind(self.fault).notices

    def due_utc(self, day_obs: dt.date) -> dt.datetime | None:
        """Tell when it is due.

        Parameters
        ----------
        day_obs
            Date of the night.

        Returns
        -------
        datetime.datetime or None
            Rehearsal time, UTC; None where a step says when.
        """
        if not self.at_utc:
            return None
        noon = dt.datetime.combine(day_obs, dt.time(12), dt.UTC)
        wanted = dt.datetime.combine(day_obs, dt.time.fromisoformat(self.at_utc), dt.UTC)
        return wanted if wanted >= noon else wanted + dt.timedelta(days=1)


class InjectPlan(_Table):
    """All faults of a rehearsal.

    Parameters
    ----------
    title
        What it is for.
    injects
        The faults.
    """

    title: str = ""
    injects: tuple[Inject, ...]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [inject.id for inject in self.injects]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands there twice")
        return self


def read_injects(path: Path) -> InjectPlan:
    """Read a file of injects.

    Parameters
    ----------
    path
        YAML.

    Returns
    -------
    InjectPlan
        The faults.

    Raises
    ------
    InputError
        If it cannot be read, or does not fit the schema.
    """
    why = "it is too long"
    try:
        if path.stat().st_size <= _MAX_BYTES:
            return InjectPlan.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        why = f"{where}: {first['msg'].removeprefix('Value error, ')}"
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        why = getattr(error, "strerror", None) or "it is not YAML"
    raise InputError(
        f"The injects of {path} cannot be used: {why}.",
        changed="Nothing was sealed.",
        advice="See docs/guides/prepare_injects.md.",
    )
