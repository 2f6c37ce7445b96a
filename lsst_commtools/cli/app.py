"""Top of the command line: global options, lazy subcommands, errors to exit codes."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from lsst_commtools.cli.groups import lazy_group
from lsst_commtools.cli.interrupt import remember_interrupts, was_interrupted
from lsst_commtools.cli.output import Context, Output, print_error
from lsst_commtools.errors import CommtoolsError, InputError

__all__ = ["app", "main"]

# Subcommand to the module that holds it (attribute `command`) and its line of help: the help page imports none.
_COMMANDS = {
    "site": ("site", "Begin at a site, show its settings, and check what can be reached."),
    "transfer": ("transfer", "Send raw files to a folder, a daemon or a host, and verify them."),
    "night": ("night", "Process a night from raw files to the WCS and PSF report."),
    "qa": ("qa", "Judge the WCS and PSF of star tables."),
    "csc": ("csc", "Show, change and test CSCs."),
    "sim": ("sim", "Start and stop the simulated observatory."),
    "repo": ("repo", "Find images and audit repositories."),
    "run": ("run", "Run one notebook as a procedure."),
    "runs": ("runs", "List, show, resume, recover and sign runs."),
    "campaign": ("campaign", "Run many notebooks with their dependencies."),
    "approve": ("approve", "Approve a notebook for this site."),
    "images": ("images", "Parse, order and check lab images."),
    "releases": ("releases", "Milestones, features and their readiness."),
    "rehearse": ("rehearse", "Hold an operations rehearsal."),
}

_GLOBAL_OPTIONS = ("--site", "--format")
_SITE_VARIABLE = "COMMTOOLS_SITE"


@click.group(
    cls=lazy_group(_COMMANDS),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--site", "site_name", metavar="NAME|FILE", help="Site to work at [default: $COMMTOOLS_SITE or local]."
)
@click.option("--format", "output", type=click.Choice([o.value for o in Output]), default=Output.TABLE.value)
@click.version_option(package_name="lsst_commtools")
@click.pass_context
def app(ctx: click.Context, site_name: str | None, output: str) -> int:
    """Test components, find images, judge the night, rehearse operations.

    Without a command: how the site stands, and what can be done tonight.
    """
    if site_name is not None:
        ctx.with_resource(_site_of_children(site_name))
    ctx.obj = Context(site_name=site_name, output=Output(output))
    if ctx.invoked_subcommand is not None:
        return 0
    from lsst_commtools.cli.start import show_start

    return show_start(ctx.obj)


@contextlib.contextmanager
def _site_of_children(name: str) -> Iterator[None]:
    """Kernels and workers that a command starts work at its site."""
    before = os.environ.get(_SITE_VARIABLE)
    os.environ[_SITE_VARIABLE] = str(Path(name).absolute()) if Path(name).is_file() else name
    try:
        yield
    finally:
        os.environ.pop(_SITE_VARIABLE, None)
        if before is not None:
            os.environ[_SITE_VARIABLE] = before


def _hoist(arguments: Sequence[str]) -> list[str]:
    """Move the global options to the front: people write them after the command too."""
    front: list[str] = []
    rest: list[str] = []
    pending = list(arguments)
    while pending:
        argument = pending.pop(0)
        if argument == "--":
            return [*front, *rest, argument, *pending]
        if argument in _GLOBAL_OPTIONS and pending:
            front += [argument, pending.pop(0)]
        elif argument.split("=", 1)[0] in _GLOBAL_OPTIONS:
            front.append(argument)
        else:
            rest.append(argument)
    return front + rest


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit code.

    Parameters
    ----------
    arguments
        Command line without the program's name; by default that of the process.
    """
    words = _hoist(sys.argv[1:] if arguments is None else arguments)
    remember_interrupts()
    output = Output.JSON if _wants_json(words) else Output.TABLE
    try:
        code: Any = app.main(words, prog_name="commtools", standalone_mode=False)
    except CommtoolsError as error:
        print_error(error, output)
        sys.exit(error.exit_code)
    except click.UsageError as error:
        advice = f"Try '{error.ctx.command_path} --help'." if error.ctx is not None else ""
        print_error(InputError(error.format_message(), advice=advice), output)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception:
        # A library that catches everything turns an interrupt into an error of its own.
        if not was_interrupted():
            raise
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _wants_json(words: Sequence[str]) -> bool:
    return "--format=json" in words or ("--format", "json") in itertools.pairwise(words)
