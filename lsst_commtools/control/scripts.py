"""Scripts of a queue: configuration by rule, and what the queue's stream says of one.

Contract: ``ts_scriptqueue``, ``ts_standardscripts`` ``set_summary_state.py``. One sample of a script's state proves
little: states in LOVE's stream go backwards, a success becomes DONE late, and a failed script stays the current one.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from lsst_commtools.control.plan import Plan
from lsst_commtools.control.states import SummaryState
from lsst_commtools.errors import CommtoolsError, InputError

__all__ = [
    "QUEUE_INDICES",
    "SET_SUMMARY_STATE",
    "SET_SUMMARY_STATE_SCHEMA",
    "Place",
    "QueueState",
    "ScriptResult",
    "ScriptSight",
    "Verdict",
    "check_config",
    "judge",
    "summary_state_config",
]

QUEUE_INDICES = {"MT": 1, "AT": 2, "OCS": 3}
"""Script queue to its SAL index."""

SET_SUMMARY_STATE = "set_summary_state.py"

SET_SUMMARY_STATE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "data": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "array", "minItems": 2, "maxItems": 3, "items": {"type": "string"}},
        },
        "mute_alarms": {"type": "boolean"},
        "mute_duration": {"type": "number", "minimum": 0},
    },
    "required": ["data"],
    "additionalProperties": False,
}
"""Schema of the script's configuration, ``ts_standardscripts`` v2.2."""


class Place(enum.Enum):
    """List of the queue in which a script stands."""

    WAITING = "waiting_scripts"
    CURRENT = "current_scripts"
    FINISHED = "finished_scripts"
    NOWHERE = "nowhere"


class Verdict(enum.Enum):
    """How a script ended, as far as was seen."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    NOT_CONFIGURED = "could not be configured"
    NOT_LOADED = "could not be loaded"
    STOPPED = "was stopped"
    UNSETTLED = "unsettled"
    GOING_ON = "going on"


@dataclass(frozen=True)
class ScriptSight:
    """One sight of a script in the stream.

    Parameters
    ----------
    index
        SAL index of the script.
    path
        Its file.
    place
        List in which it stands.
    process_state, script_state
        Names of ``ScriptProcessState`` and ``ScriptState``.
    checkpoint
        Last checkpoint.
    """

    index: int
    path: str
    place: Place
    process_state: str
    script_state: str
    checkpoint: str = ""


@dataclass(frozen=True)
class QueueState:
    """One sight of a script queue.

    Parameters
    ----------
    enabled
        Whether it takes commands.
    running
        Whether it takes scripts from its list; a failed script stops that.
    scripts
        All scripts that it tells of, by index; of finished ones only the last ten.
    """

    enabled: bool
    running: bool
    scripts: Mapping[int, ScriptSight]

    @classmethod
    def read(cls, state: Any, scripts: Any) -> QueueState | None:
        """Read the two streams of a queue.

        Parameters
        ----------
        state, scripts
            Payloads of ``stateStream`` and ``scriptsStream``.

        Returns
        -------
        QueueState or None
            None where they do not fit.
        """
        if not isinstance(state, dict) or not isinstance(scripts, dict):
            return None
        sights: dict[int, ScriptSight] = {}
        for place in (Place.WAITING, Place.CURRENT, Place.FINISHED):
            for entry in scripts.get(place.value) or ():
                if isinstance(entry, dict) and isinstance(entry.get("index"), int):
                    sights[entry["index"]] = ScriptSight(
                        entry["index"],
                        str(entry.get("path", "")),
                        place,
                        str(entry.get("process_state", "UNKNOWN")),
                        str(entry.get("script_state", "UNKNOWN")),
                        str(entry.get("last_checkpoint") or ""),
                    )
        return cls(bool(state.get("enabled")), bool(state.get("running")), sights)


@dataclass(frozen=True)
class ScriptResult:
    """How a script ended.

    Parameters
    ----------
    index
        SAL index of the script.
    verdict
        How.
    error
        Why it is no success; None where it is one.
    resumed
        Whether the queue, which the failed script had paused, was made to run again.
    """

    index: int
    verdict: Verdict
    error: CommtoolsError | None = None
    resumed: bool = False

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.verdict is Verdict.SUCCEEDED


def judge(sight: ScriptSight) -> Verdict:
    """Tell from one sight how a script ended, if the sight proves it.

    Parameters
    ----------
    sight
        What the stream says now.

    Returns
    -------
    Verdict
        GOING_ON unless the process has ended; UNSETTLED where the process has ended and the script's own state has
        not followed yet.
    """
    match sight.process_state:
        case "LOADFAILED":
            return Verdict.NOT_LOADED
        case "CONFIGURE_FAILED":
            return Verdict.NOT_CONFIGURED
        case "TERMINATED":
            return Verdict.STOPPED
        case "DONE":
            ends = {"DONE": Verdict.SUCCEEDED, "FAILED": Verdict.FAILED, "STOPPED": Verdict.STOPPED}
            return ends.get(sight.script_state, Verdict.UNSETTLED)
        case _:
            return Verdict.GOING_ON


def summary_state_config(plans: Sequence[Plan], *, mute_alarms: bool = False) -> dict[str, Any]:
    """Write the configuration of ``set_summary_state.py`` for some changes of state.

    Parameters
    ----------
    plans
        Changes, carried out one after the other.
    mute_alarms
        Whether the Watcher is told to be silent about CSCs that go OFFLINE. The script's own default is true, and then
        its configuration waits for a Watcher.

    Returns
    -------
    dict
        Configuration that fits the script's schema.
    """
    rows: list[list[str]] = []
    for plan in plans:
        name = str(plan.csc)
        if plan.override is None:
            rows.append([name, plan.target.name])
            continue
        if plan.before is not SummaryState.STANDBY:
            rows.append(
                [name, SummaryState.STANDBY.name]
            )  # else the script sends no start, and reads no override
        rows.append([name, plan.target.name, plan.override])
    return {"data": rows, "mute_alarms": mute_alarms}


def check_config(path: str, config: Mapping[str, Any], schema: Mapping[str, Any] | None) -> str:
    """Check a script's configuration, and write it as YAML.

    Parameters
    ----------
    path
        The script.
    config
        Its configuration.
    schema
        JSON schema of it; None where none is known.

    Returns
    -------
    str
        YAML, all text quoted where it could be read as something else; empty for an empty configuration.

    Raises
    ------
    InputError
        If it does not fit the schema.
    """
    if schema is not None:
        import jsonschema  # type: ignore[import-untyped]  # it ships no types

        validator = jsonschema.Draft7Validator(dict(schema))
        error = next(iter(validator.iter_errors(dict(config))), None)
        if error is not None:
            where = ".".join(map(str, error.absolute_path)) or "the top level"
            raise InputError(
                f"The configuration does not fit the schema of {path}: {where}: {error.message}.",
                changed="Nothing was sent.",
            )
    return (
        yaml.dump(dict(config), Dumper=_QuotingDumper, sort_keys=False, default_flow_style=None)
        if config
        else ""
    )


class _QuotingDumper(yaml.SafeDumper):
    """Quote all text values: a name such as DIMM:1 must never be read as anything but text."""


def _quoted(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    plain = (
        value.isidentifier() and value.islower()
    )  # keys of the schema, and nothing that YAML knows as a word
    words = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
    style = None if plain and value not in words else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_QuotingDumper.add_representer(str, _quoted)
