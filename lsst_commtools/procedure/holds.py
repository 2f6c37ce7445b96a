"""Holds: a step that waits until the right people have signed what was observed."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import InputError, StepError, UnknownOutcomeError
from lsst_commtools.procedure.values import Event, Kind, plain

if TYPE_CHECKING:
    from lsst_commtools.procedure.journal import Journal
    from lsst_commtools.procedure.steps import Step

__all__ = ["Signature", "missing_signatures", "observation_digest", "signatures", "wait_for_signatures"]

_POLL_S = 0.5


@dataclass(frozen=True)
class Signature:
    """What one person has signed.

    Parameters
    ----------
    step
        Identifier of the hold.
    role, name
        As whom, and who.
    go
        Whether it is a go.
    observation
        What was shown and signed.
    digest
        SHA-256 of the observation.
    at_utc
        When.
    account
        Account and host at which it was given.
    comment
        What the person added.
    """

    step: str
    role: str
    name: str
    go: bool
    observation: Any
    digest: str
    at_utc: str
    account: str
    comment: str = ""


def observation_digest(observation: Any) -> str:
    """Give the hash of an observation.

    Parameters
    ----------
    observation
        What is signed.

    Returns
    -------
    str
        SHA-256 of its plain form.
    """
    text = json.dumps(plain(observation), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def signatures(events: Sequence[Event], step: str | None = None) -> list[Signature]:
    """Collect the signatures of a run.

    Parameters
    ----------
    events
        Events of the run.
    step
        Of one hold, or of all.

    Returns
    -------
    list of Signature
        In the order in which they were given.
    """
    return [
        Signature(
            step=e.data["step"],
            role=e.data["role"],
            name=e.data["name"],
            go=e.data["go"],
            observation=e.data["observation"],
            digest=e.data["digest"],
            at_utc=e.at_utc,
            account=f"{e.who}@{e.host}",
            comment=e.data.get("comment", ""),
        )
        for e in events
        if e.kind is Kind.SIGNED and step in (None, e.data["step"])
    ]


def missing_signatures(given: Sequence[Signature], roles: Sequence[str], people: int) -> list[str]:
    """Say what a hold still waits for.

    Parameters
    ----------
    given
        Signatures of what was observed.
    roles
        Roles of which each must sign.
    people
        How many different people must have signed.

    Returns
    -------
    list of str
        For people; empty when it is complete.
    """
    go = [signature for signature in given if signature.go]
    signed_roles = {signature.role.casefold() for signature in go}
    missing = [f"role {role}" for role in roles if role.casefold() not in signed_roles]
    names = {" ".join(signature.name.casefold().split()) for signature in go}
    if len(names) < people:
        missing.append(f"{people - len(names)} more {'person' if people - len(names) == 1 else 'people'}")
    return missing


def wait_for_signatures(
    journal: Journal, step: Step, *, roles: Sequence[str], people: int, timeout_s: float, observation: Any
) -> dict[str, Any]:
    """Wait at a hold.

    Parameters
    ----------
    journal
        Pen of the run.
    step
        The hold.
    roles
        Roles of which each must sign.
    people
        How many different people must have signed.
    timeout_s
        How long to wait, in seconds.
    observation
        What is shown and signed; signatures of anything else do not count.

    Returns
    -------
    dict
        Keys ``observation``, ``signed``.

    Raises
    ------
    StepError
        If somebody refuses, or if the time is over.
    UnknownOutcomeError
        If the ledger could not be read when the time was over.
    """
    if not roles or people < 1:
        raise InputError(
            f"The hold {step.name!r} waits for nobody.", advice="Give at least one role and one person."
        )
    digest = observation_digest(observation)
    deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=timeout_s)
    journal.note(
        Kind.HOLD_WAITING,
        step=step.id,
        name=step.name,
        roles=list(roles),
        people=people,
        observation=observation,
        digest=digest,
        deadline_utc=deadline.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    _tell(journal.run, step, roles, people, deadline)
    outcome = "interrupted"
    try:
        signed = _poll(journal, step, digest, roles, people, timeout_s)
        outcome = "signed"
    except StepError as error:
        outcome = str(error)
        raise
    finally:
        journal.note(Kind.HOLD_ENDED, step=step.id, outcome=outcome)
    return {
        "observation": plain(observation),
        "signed": [{"role": s.role, "name": s.name, "at_utc": s.at_utc} for s in signed],
    }


def _poll(
    journal: Journal, step: Step, digest: str, roles: Sequence[str], people: int, timeout_s: float
) -> list[Signature]:
    end = time.monotonic() + timeout_s
    # What was signed in an earlier attempt counts if it was the same observation and is not older than the wait.
    oldest = (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=timeout_s)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    while True:
        over = time.monotonic() >= end
        try:
            events = journal.ledger.events(journal.run, [Kind.SIGNED])
        except OSError as error:  # the ledger is away: people cannot sign either, so the wait goes on
            missing, given = [f"the ledger ({error})"], []
        else:
            given = [s for s in signatures(events, step.id) if s.digest == digest and s.at_utc >= oldest]
            refused = next((s for s in given if not s.go), None)
            if refused is not None:
                why = f": {refused.comment}" if refused.comment else ""
                raise StepError(f"{refused.name} ({refused.role}) said no-go at the hold {step.name!r}{why}.")
            missing = missing_signatures(given, roles, people)
            if not missing:
                return given
        if over:
            kind = UnknownOutcomeError if not given and "ledger" in missing[0] else StepError
            raise kind(
                f"The hold {step.name!r} was not signed within {timeout_s:g} s; missing: {', '.join(missing)}."
            )
        time.sleep(min(_POLL_S, max(0.0, end - time.monotonic())))


def _tell(run: str, step: Step, roles: Sequence[str], people: int, deadline: dt.datetime) -> None:
    count = f" ({people} different people)" if people > 1 else ""
    print(  # noqa: T201 - what the person in front of the notebook reads
        f"HOLD {step.name!r}: waiting for {', '.join(roles)}{count} until {deadline:%Y-%m-%d %H:%M:%S} UTC. To sign:\n"
        + "\n".join(
            f"  commtools runs sign {run} {step.id} --as {role!r} --name YOUR-NAME" for role in roles
        ),
        file=sys.stdout,
        flush=True,
    )
