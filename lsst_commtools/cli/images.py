"""``commtools images``: tags, menus, checks, approvals, trials and builds of lab images."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsst_commtools.cli.output import Context, safe_text
from lsst_commtools.errors import InputError

if TYPE_CHECKING:
    from lsst_commtools.images.compat import CompatCell
    from lsst_commtools.images.lab import LabImages
    from lsst_commtools.images.listing import Listing
    from lsst_commtools.site.images import ImagesSection

__all__ = ["command"]

_alias_option = click.option(
    "--alias",
    "aliases",
    multiple=True,
    metavar="TAG",
    help="Tag that is an alias, besides those of the site.",
)
_tags_option = click.option(
    "--tags",
    "listing_path",
    metavar="FILE",
    help="Listing of tags and digests instead of the registry; - for standard input.",
)
_config_option = click.option(
    "--config",
    "config_paths",
    multiple=True,
    metavar="FILE",
    help="Policy instead of the site's, such as Phalanx's values files: defaults first, then overrides.",
)
_now_option = click.option("--now", "now", metavar="TIME", help="Time from which ages count, ISO 8601, UTC.")


@click.group()
def command() -> None:
    """Parse, order and check lab images."""


@command.command("parse")
@click.argument("tags", nargs=-1, required=True)
@_alias_option
@click.pass_obj
def parse_command(context: Context, tags: tuple[str, ...], aliases: tuple[str, ...]) -> int:
    """Say what each TAG means."""
    from lsst_commtools.images.grammar import parse_tag

    known = {*context.site.images.aliases, *aliases}
    parsed = [parse_tag(_readable(tag), known) for tag in tags]
    rows = [(t.tag, t.type.title, t.display, " ".join(t.problems) or None) for t in parsed]
    context.emit_table([t.to_dict() for t in parsed], rows, ("tag", "type", "display", "problems"))
    return int(any(t.problems for t in parsed))


@command.command("sort")
@_alias_option
@click.pass_obj
def sort_command(context: Context, aliases: tuple[str, ...]) -> int:
    """Sort the tags on standard input, one a line: grouped as in the menu, newest first."""
    from lsst_commtools.images.grammar import parse_tag
    from lsst_commtools.images.tags import sort_tags

    known = {*context.site.images.aliases, *aliases}
    tags = [t.tag for t in sort_tags(parse_tag(tag, known) for tag in _lines())]
    context.emit(tags, "\n".join(tag if tag.isprintable() else safe_text(tag) for tag in tags))
    return 0


@command.command("menu")
@_tags_option
@_config_option
@_now_option
@click.pass_obj
def menu_command(
    context: Context, *, listing_path: str | None, config_paths: tuple[str, ...], now: str | None
) -> int:
    """Print what the spawner page should show, newest first, and why each image is shown or hidden."""
    images = _lab_images(context, listing_path, config_paths)
    menu = images.menu(_time(now))
    shown, hidden = [r for r in menu if r.shown], [r for r in menu if not r.shown]
    recommended = next((r for r in menu if r.recommended), None)
    document = {
        "site": images.site.name,
        "recommended": None if recommended is None else recommended.image.tag.tag,
        "shown": [row.to_dict() for row in shown],
        "hidden": [row.to_dict() for row in hidden],
    }
    rows = [
        (
            "shown" if r.shown else "hidden",
            r.image.tag.tag,
            r.image.display,
            " ".join((r.reason, *r.problems)),
        )
        for r in (*shown, *hidden)
    ]
    context.emit_table(document, rows, ("menu", "tag", "display", "reason"))
    if recommended is None:
        print(
            f"The recommended tag {safe_text(images.policy.recommended_tag)} is not in the registry.",
            file=sys.stderr,
        )
    return int(recommended is None or bool(recommended.problems))


@command.command("check")
@_tags_option
@_config_option
@click.option(
    "--previous",
    "previous_paths",
    multiple=True,
    metavar="FILE",
    help="Policy before the change, as --config.",
)
@click.option("--revert-note", default="", metavar="TEXT", help="Why a step backwards is meant.")
@_now_option
@click.pass_obj
def check_command(
    context: Context,
    *,
    listing_path: str | None,
    config_paths: tuple[str, ...],
    previous_paths: tuple[str, ...],
    revert_note: str,
    now: str | None,
) -> int:
    """Check what is recommended, which cycle is allowed, and who approved it."""
    from lsst_commtools.images.checks import current_state
    from lsst_commtools.images.phalanx import read_policy

    images = _lab_images(context, listing_path, config_paths)
    previous = None
    if previous_paths:
        previous = current_state(read_policy(previous_paths, images.policy), images.listing)
    report = images.check(previous=previous, revert_note=revert_note, now_utc=_time(now))
    rows = [(finding.kind.value, finding.message) for finding in report.findings]
    context.emit_table(report.to_dict(), rows, ("finding", "message"))
    print(f"Judged was {report.judged}.", file=sys.stderr)
    return int(bool(rows))


@command.command("approve")
@_tags_option
@_config_option
@click.option(
    "--by", "approver", default="", metavar="NAME", help="Who approves [default: who is logged in]."
)
@click.option("--note", default="", metavar="TEXT", help="Why.")
@click.option("--revert", is_flag=True, help="The step backwards is meant; --note must say why.")
@click.pass_obj
def approve_command(
    context: Context,
    *,
    listing_path: str | None,
    config_paths: tuple[str, ...],
    approver: str,
    note: str,
    revert: bool,
) -> int:
    """Approve the site's configuration of images with what its recommended tag points to now."""
    images = _lab_images(context, listing_path, config_paths)
    outcome = images.approve(approver, note=note, revert=revert)
    state = outcome.approval.state
    text = (
        f"{state.recommended_tag} ({state.target}, {state.digest}) for {images.site.name}: approved by "
        f"{', '.join(outcome.approvers)}; {len(outcome.approvers)} of {outcome.needed} needed."
    )
    context.emit(outcome.to_dict(), safe_text(text))
    return 0


@command.command("diff")
@click.argument("old")
@click.argument("new")
@click.pass_obj
def diff_command(context: Context, old: str, new: str) -> int:
    """Say which packages differ between the contents of two images (JSON files OLD and NEW)."""
    from lsst_commtools.images.layers import diff_contents, read_contents

    before, after = read_contents(old), read_contents(new)
    document = {"old": before.image, "new": after.image, **diff_contents(before, after).to_dict()}
    rows = [
        (kind, c["name"], c["old_layer"], c["old_version"], c["new_layer"], c["new_version"])
        for kind in ("added", "removed", "updated", "moved")
        for c in document[kind]
    ]
    header = ("change", "package", "old layer", "old version", "new layer", "new version")
    context.emit_table(document, rows, header)
    return 0


@command.command("builds")
@click.argument("table")
@click.option("--day-obs", type=int, required=True, metavar="YYYYMMDD", help="Night that the images are for.")
@click.pass_obj
def builds_command(context: Context, table: str, day_obs: int) -> int:
    """Judge the builds of a night by a TABLE of timestamps against the site's budget and deadline."""
    from lsst_commtools.images.builds import BuildStatus, judge_builds, read_builds

    report = judge_builds(read_builds(table), day_obs, context.site.images.builds)
    document = report.to_dict()
    rows: list[tuple[Any, ...]] = [
        (layer["layer"], layer["status"], layer["due_utc"], layer["finished_utc"], layer["took_min"], None)
        for layer in document["layers"]
    ]
    rows.append(
        ("all", report.status.value, document["deadline_utc"], None, None, " ".join(report.chain) or None)
    )
    header = ("layer", "status", "due (UTC)", "finished (UTC)", "took (min)", "what made it late")
    context.emit_table(document, rows, header)
    return int(report.status is not BuildStatus.ON_TIME)


@command.command("compat")
@click.argument("images", nargs=-1)
@click.option(
    "--notebooks", "folder", default="notebooks", metavar="FOLDER", help="Folder of the regression suite."
)
@click.option(
    "--only", "patterns", multiple=True, metavar="PATTERN", help="Notebooks by path below the folder."
)
@click.option(
    "--environment",
    "environments",
    multiple=True,
    metavar="IMAGE=FOLDER",
    help="Virtual environment of an image.",
)
@click.pass_obj
def compat_command(
    context: Context,
    *,
    images: tuple[str, ...],
    folder: str,
    patterns: tuple[str, ...],
    environments: tuple[str, ...],
) -> int:
    """Try the notebooks on each IMAGE and keep the matrix; without IMAGE, print what is kept."""
    from lsst_commtools.images.compat import CompatMatrix, CompatResult, find_notebooks, judge_use, run_matrix
    from lsst_commtools.site import commtools_home

    site = context.site
    section = site.images.compat
    if any("=" not in word for word in environments):
        raise InputError("--environment wants IMAGE=FOLDER.")
    given = dict(word.split("=", 1) for word in environments)
    section = section.model_copy(update={"environments": {**section.environments, **given}})
    matrix = CompatMatrix(commtools_home() / "images" / f"compat-{site.name}.jsonl")
    cells = matrix.cells
    if images:
        notebooks = find_notebooks(Path(folder), patterns or ("*",))
        cells = run_matrix(images, notebooks, section, matrix, progress=_say)
    names = sorted({cell.notebook for cell in cells})
    tried = list(dict.fromkeys(cell.image for cell in cells))
    uses = {
        image: {
            use: judge_use(level, image, names, matrix).value for use, level in section.smoke_levels.items()
        }
        for image in tried
    }
    document = {"site": site.name, "cells": [cell.to_dict() for cell in cells], "uses": uses}
    rows = [(cell.image, cell.notebook, cell.result.value, cell.reason or None) for cell in cells]
    context.emit_table(document, rows, ("image", "notebook", "result", "reason"))
    return int(any(cell.result is not CompatResult.PASSED for cell in cells))


def _say(cell: CompatCell) -> None:
    print(f"{safe_text(cell.image)} {cell.notebook}: {cell.result.value}", file=sys.stderr)


def _readable(argument: str) -> str:
    """Write bytes of an argument that are no UTF-8 as escapes, so that they can be printed."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _lines() -> list[str]:
    """Read the lines of standard input; text that is not UTF-8 is shown as escapes."""
    text = sys.stdin.buffer.read().decode("utf-8", "backslashreplace")
    return [line for line in (raw.removesuffix("\r") for raw in text.split("\n")) if line]


def _lab_images(context: Context, listing_path: str | None, config_paths: tuple[str, ...]) -> LabImages:
    from lsst_commtools.images.lab import LabImages
    from lsst_commtools.images.phalanx import read_policy

    site = context.site
    policy: ImagesSection = read_policy(config_paths, site.images) if config_paths else site.images
    if listing_path is None and policy.source.type == "file" and not policy.source.path:
        print("No registry is set: these are the sample images that come with the package.", file=sys.stderr)
    return LabImages(site, policy=policy, listing=_listing(listing_path))


def _listing(path: str | None) -> Listing | None:
    from lsst_commtools.images.listing import parse_listing, read_listing

    if path is None:
        return None
    return parse_listing("\n".join(_lines()), "standard input") if path == "-" else read_listing(path)


def _time(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{text!r} is not a time.", advice="Give for instance 2026-06-07T12:00:00."
        ) from None
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time
