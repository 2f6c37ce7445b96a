"""``commtools site``: show the settings of a site, and try its places."""

from __future__ import annotations

import click
import yaml

from lsst_commtools.cli.output import Context

__all__ = ["command"]


@click.group("site")
def command() -> None:
    """Show the site's settings, and check what can be reached."""


@command.command("show")
@click.pass_obj
def show(context: Context) -> None:
    """Print the settings with all layers applied. Secrets are no settings and never show."""
    values = context.site.model_dump(mode="json")
    context.emit(values, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip())


@command.command("check")
@click.option("--timeout", "timeout_s", default=3.0, show_default=True, help="Seconds for each place.")
@click.pass_obj
def check(context: Context, timeout_s: float) -> int:
    """Try each URL and folder: reachable, refused, or unknown. Exit code 1 if any is not reachable."""
    from lsst_commtools.site import Reach, check_site

    checks = check_site(context.site, timeout_s)
    document = [
        {"setting": c.setting, "target": c.target, "reach": c.reach.value, "reason": c.reason} for c in checks
    ]
    context.emit_table(
        document, [tuple(row.values()) for row in document], ("setting", "target", "reach", "reason")
    )
    return 0 if all(c.reach is Reach.REACHABLE for c in checks) else 1
