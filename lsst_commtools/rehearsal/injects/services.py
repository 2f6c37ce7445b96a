"""Faults of services: told to the simulated observatory by its own interface, never to a real one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import requests
from pydantic import Field, field_validator

from lsst_commtools.errors import (
    IdentifierError,
    NotFoundError,
    RefusedError,
    RejectedError,
    UnreachableError,
)
from lsst_commtools.ids import CscName
from lsst_commtools.rehearsal.injects.ground import FaultKind, FaultParameters, Ground, Plan
from lsst_commtools.site.stand_ins import read_stand_ins, stand_in

__all__ = ["SERVICE_FAULTS", "ask_simulator"]

_TIMEOUT_S = 10.0
_WORD = re.compile(r"[ -~]{0,60}")


class _Csc(FaultParameters):
    """Which CSC.

    Parameters
    ----------
    csc
        For instance ``DIMM:1``.
    """

    csc: str = "DIMM:1"

    @field_validator("csc")
    @classmethod
    def _name(cls, value: str) -> str:
        try:
            return str(CscName.parse(value))
        except IdentifierError as error:
            raise ValueError(error.message) from None


class _Queue(FaultParameters):
    """Which script queue.

    Parameters
    ----------
    queue
        Its SAL index.
    """

    queue: int = Field(default=1, ge=1)


class _Service(FaultParameters):
    """Which service, and how it fails.

    Parameters
    ----------
    service
        As the simulator calls it; only of LOVE is it watched during a rehearsal whether it answers.
    kind
        ``http_500``, or ``drop`` for a connection that breaks, or ``hang`` for no answer.
    where
        Requests that fail; empty for all.
    """

    service: Literal["love"] = "love"
    kind: Literal["http_500", "drop", "hang"] = "drop"
    where: str = ""

    @field_validator("where")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not _WORD.fullmatch(value):
            raise ValueError("give the path of a request")
        return value


def ask_simulator(told: dict[str, Any] | None = None) -> dict[str, Any]:
    """Tell the simulated observatory to do something, or ask what is true there.

    Parameters
    ----------
    told
        ``do`` and what that needs; None to ask.

    Returns
    -------
    dict
        What is true.

    Raises
    ------
    UnreachableError
        If it does not answer.
    RejectedError
        If it cannot do that.
    """
    service = stand_in("admin")
    try:
        with requests.Session() as http:
            http.trust_env = False  # a proxy that the environment names cannot reach this computer
            headers = {"Authorization": f"Bearer {service.token}"}
            method = "GET" if told is None else "POST"
            answer = http.request(method, f"{service.url}/", json=told, headers=headers, timeout=_TIMEOUT_S)
    except requests.RequestException as error:
        raise UnreachableError(
            f"The simulated observatory does not answer ({type(error).__name__})."
        ) from None
    if answer.status_code != requests.codes.ok:
        raise RejectedError(f"The simulated observatory refuses (HTTP {answer.status_code}).")
    document: dict[str, Any] = answer.json()
    return document


def _truth(ground: Ground) -> dict[str, Any]:
    if ground.site.real:
        raise RefusedError("Services of a real site are not disturbed.", changed="Nothing was sent.")
    if read_stand_ins() is None:
        raise NotFoundError("The simulated observatory does not run.")
    return ask_simulator()


def _told(_: Ground, plan: Plan) -> None:
    for told in plan.details["do"]:
        ask_simulator(told)


def _untold(_: Ground, plan: Plan) -> None:
    if read_stand_ins() is None:
        return  # it has ended, and its faults with it
    for told in plan.details["undo"]:
        ask_simulator(told)


def _prepare_csc(ground: Ground, parameters: _Csc, _: Path) -> Plan:
    csc = _truth(ground)["cscs"].get(parameters.csc)
    if csc is None:
        raise RefusedError(f"The simulated observatory has no CSC {parameters.csc}.")
    if not csc["running"] or csc["state"] == "FAULT":
        raise NotFoundError(f"{parameters.csc} does not run, or is in FAULT already.")
    return Plan(
        f"{parameters.csc} went from {csc['state']} to FAULT by itself.",
        ((parameters.csc,),),
        {
            "do": [{"do": "fault", "csc": parameters.csc}],
            "undo": [{"do": "mend", "csc": parameters.csc, "state": csc["state"]}],
        },
    )


def _prepare_queue(ground: Ground, parameters: _Queue, _: Path) -> Plan:
    queue = _truth(ground)["queues"].get(str(parameters.queue))
    if queue is None:
        raise RefusedError(f"The simulated observatory has no ScriptQueue:{parameters.queue}.")
    if not queue["running"]:
        raise NotFoundError(f"ScriptQueue:{parameters.queue} is paused already.")
    return Plan(
        f"ScriptQueue:{parameters.queue} was paused.",
        ((f"ScriptQueue:{parameters.queue}",),),
        {
            "do": [{"do": "pause-queue", "queue": parameters.queue}],
            "undo": [{"do": "resume-queue", "queue": parameters.queue}],
        },
    )


def _prepare_service(ground: Ground, parameters: _Service, _: Path) -> Plan:
    _truth(ground)
    fault = {"service": parameters.service, "kind": parameters.kind, "where": parameters.where}
    withdraw = {"do": "withdraw", **fault}
    return Plan(
        f"The service {parameters.service} fails with {parameters.kind}.",
        ((parameters.service,),),
        # Withdrawn first, so that telling it twice leaves one fault.
        {"do": [withdraw, {"do": "inject", **fault, "times": -1}], "undo": [withdraw]},
    )


SERVICE_FAULTS = (
    FaultKind(
        "csc-fault",
        "A CSC of the simulated observatory goes to FAULT by itself.",
        "",
        ("csc-fault",),
        _Csc,
        _prepare_csc,
        _told,
        _untold,
    ),
    FaultKind(
        "queue-paused",
        "A script queue of the simulated observatory pauses.",
        "",
        ("queue-paused",),
        _Queue,
        _prepare_queue,
        _told,
        _untold,
    ),
    FaultKind(
        "service-down",
        "LOVE of the simulated observatory gives no good answer any more.",
        "",
        ("service-down",),
        _Service,
        _prepare_service,
        _told,
        _untold,
        follows=("csc-unknown",),
    ),
)
