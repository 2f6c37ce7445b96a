"""``commtools site``: begin at a site, show its settings, and try its places."""

from __future__ import annotations

import click
import yaml

from lsst_commtools.cli.output import Context, safe_text

__all__ = ["command"]


@click.group("site")
def command() -> None:
    """Begin at a site, show its settings, and check what can be reached."""


@command.command("init")
@click.argument("name")
@click.option("--extends", metavar="SITE", help="Site on which a new one stands.")
@click.option("--kernel/--no-kernel", default=True, show_default=True, help="Write a kernelspec as well.")
@click.pass_obj
def init(context: Context, name: str, extends: str | None, kernel: bool) -> None:
    """Write your own settings of the site NAME, all as comments, and a kernelspec of this environment.

    Nothing that is there already is overwritten.
    """
    from lsst_commtools.site.begin import begin_site

    begun = begin_site(name, extends=extends, kernel=kernel)
    document = {
        "site": begun.site,
        "site_file": str(begun.site_file),
        "kernel": begun.kernel,
        "kernel_file": begun.kernel_file and str(begun.kernel_file),
    }
    lines = [f"Your settings of {name}: {safe_text(begun.site_file)}"]
    if begun.kernel_file is not None:
        lines.append(
            f"Kernel {begun.kernel} of {safe_text(begun.kernel_file.parent)}: choose it in JupyterLab."
        )
    lines.append(f"Next: commtools --site {name} site check")
    context.emit(document, "\n".join(lines))


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
