"""``commtools run``: one notebook as a procedure."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsst_commtools.cli.output import Context, safe_text
from lsst_commtools.errors import ParameterError

if TYPE_CHECKING:
    from lsst_commtools.procedure.parameters import Parameter
    from lsst_commtools.procedure.record import RunRecord

__all__ = ["command", "exit_code", "parse_parameters", "print_run"]

_OBSERVED_WIDTH = 80
_EXIT = {"done": 0, "planned": 0, "unknown": 1}


def parse_parameters(declared: list[Parameter], words: tuple[str, ...]) -> dict[str, Any]:
    """Read ``name=value`` words by the types of the notebook.

    Parameters
    ----------
    declared
        Its parameters.
    words
        From the command line.

    Returns
    -------
    dict
        Values by name.
    """
    from lsst_commtools.procedure.parameters import from_text

    known = {p.name: p for p in declared}
    values: dict[str, Any] = {}
    for word in words:
        name, mark, text = word.partition("=")
        if not mark or not name.isidentifier():
            raise ParameterError(f"{name!r} is not name=value.", changed="No kernel was started.")
        if name in values:
            raise ParameterError(f"The parameter {name!r} is given twice.", changed="No kernel was started.")
        values[name] = from_text(known.get(name), text)
    return values


def print_run(context: Context, record: RunRecord) -> None:
    """Print how a run ended.

    Parameters
    ----------
    context
        Global options.
    record
        The run.
    """
    lines = [f"{record.run}: {record.status.value}" + (f" ({record.reason})" if record.reason else "")]
    if record.dry_run:
        lines.insert(0, "DRY RUN: nothing was sent.")
    for step in record.steps:
        seen = "" if step.observed is None else f" = {_short(step.observed)}"
        lines.append(
            f"  {step.status.value:8} {step.name}{seen}" + (f" ({step.reason})" if step.reason else "")
        )
    lines += [
        f"  {'go' if s.go else 'NO-GO':8} {s.name} as {s.role} at {s.step}, {s.at_utc[:19]}Z UTC"
        for s in record.signatures
    ]
    odd = [c for c in record.cells if c.status != "completed"]
    lines += [f"  cell {c.index}: {c.status.value}" + (f" ({c.reason})" if c.reason else "") for c in odd]
    lines += [f"  still owed: {name}" for name in record.owed]
    if record.output is not None:
        lines.append(f"  output: {record.output}")
    context.emit(record.to_dict(), "\n".join(safe_text(line) for line in lines))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _OBSERVED_WIDTH else f"{text[:_OBSERVED_WIDTH]}..."


def exit_code(record: RunRecord) -> int:
    """Give the exit code of a run.

    Parameters
    ----------
    record
        The run.

    Returns
    -------
    int
        0 done or planned, 1 unknown, 130 interrupted, else 3.
    """
    if record.status == "aborted" and record.reason.startswith("interrupted"):
        return 130
    return _EXIT.get(record.status.value, 3)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("notebook", type=click.Path(path_type=Path), required=False)
@click.option("-p", "--parameter", "words", metavar="NAME=VALUE", multiple=True, help="A parameter.")
@click.option("--dry-run", is_flag=True, help="Plan and observe, send nothing.")
@click.option("--output", type=click.Path(path_type=Path), help="Output notebook.")
@click.option("--kernel", help="Kernel [default: the notebook's].")
@click.option("--cell-timeout", type=float, help="Longest time of a cell, in seconds.")
@click.option("--run-timeout", type=float, help="Longest time of the run, in seconds.")
@click.option(
    "--help-notebook", type=click.Path(path_type=Path), metavar="NOTEBOOK", help="Print its parameters."
)
@click.pass_obj
def command(
    context: Context,
    notebook: Path | None,
    words: tuple[str, ...],
    *,
    dry_run: bool,
    output: Path | None,
    kernel: str | None,
    cell_timeout: float | None,
    run_timeout: float | None,
    help_notebook: Path | None,
) -> int:
    """Run NOTEBOOK as a procedure, recorded in the ledger; its closing cells run whatever happens."""
    from lsst_commtools.procedure.notebook import read_notebook
    from lsst_commtools.procedure.runner import notebook_parameters, run_notebook

    if help_notebook is not None:
        _print_parameters(context, help_notebook)
        return 0
    if notebook is None:
        raise click.UsageError("Give the notebook to run.")
    values = parse_parameters(notebook_parameters(read_notebook(notebook).nb), words)
    if dry_run:
        print("DRY RUN: nothing will be sent.", file=sys.stderr)
    record = run_notebook(
        notebook,
        values,
        output=output,
        site=context.site,
        kernel_name=kernel,
        dry_run=dry_run,
        cell_timeout_s=cell_timeout,
        run_timeout_s=run_timeout,
        progress=sys.stderr.isatty(),
    )
    print_run(context, record)
    return exit_code(record)


def _print_parameters(context: Context, path: Path) -> None:
    from lsst_commtools.procedure.notebook import read_notebook
    from lsst_commtools.procedure.parameters import help_rows, json_schema
    from lsst_commtools.procedure.runner import notebook_parameters

    parameters = notebook_parameters(read_notebook(path).nb)
    schema = json_schema(path.name, parameters)
    if context.json or parameters:
        context.emit_table(schema, help_rows(parameters), ("parameter", "type", "default", "help"))
    else:
        context.emit(schema, f"{path.name} has no parameters: it has no cell tagged 'parameters'.")
