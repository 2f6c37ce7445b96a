"""``commtools repo``: find images, follow chains, audit repositories, make and move links."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsst_commtools.cli.output import Context, safe_text
from lsst_commtools.errors import InputError

if TYPE_CHECKING:
    from lsst_commtools.repos import AuditReport, Chain, ConversionItem, RepointPlan, Repositories

__all__ = ["command"]

_SHOWN_PER_KIND = 10


@click.group("repo")
def command() -> None:
    """Find images and audit repositories. PATH may be a folder or a label of the site."""


def _repositories(context: Context, below: str | None = None) -> Repositories:
    from lsst_commtools.repos import Repositories

    return Repositories.at(below) if below else Repositories(context.site)


def _printable(value: Any) -> Any:
    """Make names that are not Unicode harmless for output: their bytes become escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list | tuple) else value


def _emit_lines(context: Context, document: Any, lines: Sequence[str]) -> None:
    context.emit(_printable(document), "\n".join(safe_text(_printable(line)) for line in lines))


def _emit_table(
    context: Context, document: Any, rows: Sequence[Sequence[Any]], header: Sequence[str]
) -> None:
    context.emit_table(_printable(document), [_printable(list(row)) for row in rows], header)


def _progress() -> Callable[[str], None]:
    """Tell on standard error what is being done, once a second at most."""
    last = [time.monotonic()]

    def tell(line: str) -> None:
        now = time.monotonic()
        if now - last[0] >= 1.0:
            last[0] = now
            print(safe_text(_printable(line)), file=sys.stderr)

    return tell


_below = click.option(
    "--below", metavar="FOLDER", help="Take the repositories below a folder instead of the site's."
)


@command.command("list")
@click.option("--internal", is_flag=True, help="Show those as well that nobody should be pointed at.")
@_below
@click.pass_obj
def list_command(context: Context, internal: bool, below: str | None) -> None:
    """List the repositories of the site."""
    shown = [r for r in _repositories(context, below).known if internal or not r.internal]
    rows = [(r.label, r.generation, r.instrument, r.root, r.linked_by or None) for r in shown]
    _emit_table(
        context,
        [asdict(r) for r in shown],
        rows,
        ("label", "generation", "instrument", "root", "instead use"),
    )


@command.command("find")
@click.argument("label")
@_below
@click.pass_obj
def find_command(context: Context, label: str, below: str | None) -> None:
    """Say which repository to use for a LABEL, camera or path."""
    repository = _repositories(context, below).find(label)
    _emit_lines(context, asdict(repository), [repository.root])


@command.command("chain")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@_below
@click.pass_obj
def chain_command(context: Context, paths: tuple[str, ...], below: str | None) -> int:
    """Show what is searched for PATH, in order, and the traps in it. Exit code 1 if there are any."""
    from lsst_commtools.repos import Chain, resolve_chain

    if len(paths) > 1:
        return _show_chain(context, resolve_chain(*paths))
    chain = _repositories(context, below).chain(paths[0])
    if isinstance(chain, Chain):
        return _show_chain(context, chain)
    _emit_lines(context, chain.to_dict(), chain.text.splitlines())
    return 0


def _show_chain(context: Context, chain: Chain) -> int:
    lines = [f"{place}  {root}" for place, root in enumerate(chain.roots, 1)]
    lines += [f"registry  {chain.registry or '-'}", f"calib     {chain.calib or '-'}"]
    for problem in chain.problems:
        lines += [
            f"{problem.kind}  {problem.where}",
            f"    {problem.what}",
            f"    The old stack: {problem.old_stack}",
        ]
    _emit_lines(context, chain.to_dict(), lines)
    return 1 if chain.problems else 0


@command.command("locate")
@click.argument("image")
@click.option(
    "--repository", metavar="LABEL|PATH", help="Repository that should have it [default: all for people]."
)
@click.option("--instrument", help="Camera, where the name does not tell it.")
@_below
@click.pass_obj
def locate_command(
    context: Context, image: str, repository: str | None, instrument: str | None, below: str | None
) -> int:
    """Say where IMAGE is, or at which station it was lost.

    IMAGE is an obs id (AT_O_20240624_000106), a file name, an exposure id, or day_obs/seq_num. Exit code 1 if it is
    not found.
    """
    from lsst_commtools.repos import Station

    located = _repositories(context, below).locate(image, repository, instrument=instrument)
    lines = [f"{located.station.value}: {located.reason}"]
    lines += [f"log: {located.log}"] if located.log else []
    for place in located.locations:
        where = f"{place.repository}  {place.collection or place.root}  {place.path}"
        lines.append(f"{'wins' if place.wins else 'shadowed' if place.exists else 'gone'}  {where}")
    lines += [f"not looked at: {line}" for line in located.unread]
    _emit_lines(context, located.to_dict(), lines)
    return 0 if located.station is Station.FOUND else 1


@command.command("holdings")
@click.argument("path")
@click.argument("day_obs")
@_below
@click.pass_obj
def holdings_command(context: Context, path: str, day_obs: str, below: str | None) -> int:
    """Count what PATH holds of a night, against what it should. Exit code 1 if something is missing."""
    from lsst_commtools.ids import check_day_obs

    holdings = _repositories(context, below).holdings(path, check_day_obs(day_obs))
    table = holdings.by_detector()
    rows = [(detector, row.expected, row.present, row.missing) for detector, row in table.iterrows()]
    _emit_table(context, holdings.to_dict(), rows, ("detector", "expected", "present", "missing"))
    if holdings.gaps and not context.json:
        print(f"nothing is known of seq_num {', '.join(map(str, holdings.gaps))}")
    return 1 if holdings.missing else 0


@command.command("audit")
@click.argument("path")
@click.option(
    "--storage", type=click.Path(file_okay=False), help="Raw files as transferred, if not beside PATH."
)
@click.option(
    "--log", type=click.Path(file_okay=False), help="Folder of the ingest logs, if not beside PATH."
)
@click.option("--verify", is_flag=True, help="Gen3: read every file whose checksum is recorded.")
@_below
@click.pass_obj
def audit_command(
    context: Context, path: str, storage: str | None, log: str | None, verify: bool, below: str | None
) -> int:  # fmt: skip
    """Compare storage, registry, links and log of PATH. Exit code 1 if something is not in order."""
    report = _repositories(context, below).audit(
        path, storage=storage, log=log, verify=verify, progress=_progress()
    )
    _emit_lines(context, report.to_dict(), _audit_lines(report))
    for note in report.notes if context.json else ():
        print(safe_text(_printable(note)), file=sys.stderr)
    return 1 if report.problems else 0


def _audit_lines(report: AuditReport) -> list[str]:
    counts = {"in storage": report.storage, "registered": report.registered, "linked": report.linked}
    told = ", ".join(f"{number} {what}" for what, number in counts.items())
    lines = [report.root, f"{told}, {report.in_order} in order"]
    for kind, number in report.kinds.items():
        lines.append(f"{kind}: {number}")
        shown = [problem for problem in report.problems if problem.kind == kind]
        for problem in shown[:_SHOWN_PER_KIND]:
            lines.append(f"    {problem.path}: {problem.what}")
            lines += [f"        {problem.log}"] if problem.log else []
        if number > _SHOWN_PER_KIND:
            lines.append(f"    and {number - _SHOWN_PER_KIND} more: --format json shows all")
    return [*lines, *(f"note: {note}" for note in report.notes)]


@command.command("link")
@click.argument("path", type=click.Path())
@click.option("--to", "parent", required=True, metavar="PARENT", help="Production repository to link to.")
@click.option("--calib", default="", help="Calibrations to link as CALIB [default: an empty one is made].")
@click.pass_obj
def link_command(context: Context, path: str, parent: str, calib: str) -> None:
    """Make a linked repository at PATH: writable, with reruns and CALIB."""
    from lsst_commtools.repos import make_linked_repository, resolve_chain

    made = make_linked_repository(path, parent, calib=calib)
    chain = resolve_chain(made)
    _emit_lines(context, {"path": str(made), **chain.to_dict()}, [f"made {made}", *chain.roots])


@command.command("repoint")
@click.argument("path", type=click.Path())
@click.option("--to", metavar="TARGET", help="New parent.")
@click.option("--undo", is_flag=True, help="Go back to the parent before the last move.")
@click.option("--dry-run", is_flag=True, help="Show the plan only.")
@click.option("--accept-loss", is_flag=True, help="Go ahead although images vanish.")
@click.pass_obj
def repoint_command(
    context: Context, path: str, to: str | None, undo: bool, dry_run: bool, accept_loss: bool
) -> None:  # fmt: skip
    """Move the _parent link of PATH: the plan first, then one atomic swap, with a record for --undo."""
    from lsst_commtools.repos import last_repoint, plan_repoint, repoint

    if bool(to) == undo:
        raise InputError("Give either --to TARGET or --undo.")
    target = _before(path, last_repoint(path)) if undo else str(to)
    plan = plan_repoint(path, target)
    lines = _plan_lines(plan)
    if dry_run:
        _emit_lines(context, {"plan": plan.to_dict(), "record": None}, lines)
        return
    for line in lines:
        print(safe_text(_printable(line)), file=sys.stderr)
    record = repoint(plan, accept_loss=accept_loss)
    done = [f"{record['link']} leads to {record['after']} now; --undo takes it back"]
    _emit_lines(context, {"plan": plan.to_dict(), "record": record}, done)


def _before(path: str, record: dict[str, Any]) -> str:
    """Give the target of a record's older link, which may be relative to the link's folder."""
    return os.path.normpath(Path(path).absolute() / str(record["before"]))


def _plan_lines(plan: RepointPlan) -> list[str]:
    lines = [
        f"{plan.repository}: {plan.before} -> {plan.after}",
        f"{plan.appear} images appear, {plan.vanish} vanish, {plan.unchanged} stay",
        f"mapper {plan.mapper_before} -> {plan.mapper_after}",
    ]
    lines += [f"    {n.night}: {n.before} -> {n.after} (+{n.appear} -{n.vanish})" for n in plan.nights]
    return [*lines, *(f"open by {who}" for who in plan.open_by), *(f"note: {note}" for note in plan.notes)]


@command.command("check")
@_below
@click.pass_obj
def check_command(context: Context, below: str | None) -> int:
    """Check that each root is mounted, readable, fresh, and writable where it should be. Exit code 1 if not."""
    from lsst_commtools.repos import Verdict

    lines = _repositories(context, below).check()
    document = [{**asdict(line), "verdict": line.verdict.value} for line in lines]
    rows = [(line.repository, line.what, line.verdict.value, line.seen) for line in lines]
    _emit_table(context, document, rows, ("repository", "what", "verdict", "seen"))
    return 0 if all(line.verdict is Verdict.GOOD for line in lines) else 1


@command.command("convert")
@click.argument("path")
@click.option(
    "--to", "gen3", required=True, metavar="REPOSITORY", help="Gen3 repository; made if it is not there."
)
@click.option("--instrument", help="Camera, where the mapper does not tell it.")
@click.option("--dry-run", is_flag=True, help="Show what an ingest would do, id by id, and do nothing.")
@click.pass_obj
def convert_command(context: Context, path: str, gen3: str, instrument: str | None, dry_run: bool) -> int:
    """Ingest the raws of the Gen2 repository PATH into a Gen3 one. Exit code 1 if some cannot be."""
    items, camera = _conversion(_repositories(context), path, gen3, instrument)
    good = {"ingest", "present"}
    document: dict[str, Any] = {
        "items": [{**asdict(i), "action": i.action.value} for i in items],
        "outcomes": None,
    }
    rows = [(i.gen2_id, i.detector, i.obs_id, i.exposure_id, i.action.value, i.reason) for i in items]
    header = ("gen2 id", "detector", "obs id", "exposure", "action", "reason")
    if dry_run:
        _emit_table(context, document, rows, header)
        return 0 if all(i.action.value in good for i in items) else 1
    outcomes = _ingest(gen3, camera, [i.target for i in items if i.action.value == "ingest"])
    document["outcomes"] = outcomes
    failed = [
        outcome for outcome in outcomes if outcome["outcome"] not in ("ingested", "identical-duplicate")
    ]
    _emit_table(
        context, document, [tuple(outcome.values()) for outcome in outcomes], ("path", "outcome", "reason")
    )
    return 1 if failed or any(i.action.value not in good for i in items) else 0


def _conversion(
    repositories: Repositories, path: str, gen3: str, instrument: str | None
) -> tuple[list[ConversionItem], str]:
    from lsst_commtools.repos import Gen3Repository, Repository, plan_conversion
    from lsst_commtools.repos.butlers import is_gen3

    repository = repositories.get(path)
    camera = instrument or repository.instrument
    if repository.generation != 2 or not camera:
        raise InputError(f"{path} is no Gen2 repository of a known camera.", advice="Give --instrument.")
    there = Gen3Repository(Repository(gen3, gen3, 3, camera)) if is_gen3(gen3) else None
    try:
        return plan_conversion(repository.root, there, camera, _progress()), camera
    finally:
        if there is not None:
            there.close()


def _ingest(gen3: str, camera: str, paths: list[str]) -> list[dict[str, str]]:
    from lsst_commtools.ingest import Ingester, create_repository

    tell = _progress()
    report = Ingester(create_repository(gen3), camera).ingest(
        paths, progress=lambda done, total: tell(f"ingested {done} of {total}")
    )
    return [{"path": str(f.path), "outcome": f.outcome.value, "reason": f.reason} for f in report.files]
