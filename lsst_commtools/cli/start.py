"""``commtools`` without a command: how the site stands, and what can be done tonight."""

from __future__ import annotations

import itertools
import sys

from lsst_commtools.cli.output import Context, safe_text

__all__ = ["show_start"]


def show_start(context: Context) -> int:
    """Print the state of the site, and the tasks with their notebooks and commands.

    Parameters
    ----------
    context
        Global options.

    Returns
    -------
    int
        Exit code: 0 if nothing is bad, else 1.
    """
    from lsst_commtools.cli.progress import progress_bars
    from lsst_commtools.qa.limits import Status
    from lsst_commtools.widgets.overview import LOOKS, TASKS, look_around, notebooks_folder

    site = context.site
    found = {}
    with progress_bars() as bars:
        for number, fact in enumerate(look_around(site), 1):
            found[fact.topic] = fact
            if sys.stderr.isatty():
                bars("Looking", number, len(LOOKS))
    facts = [found[topic] for topic in LOOKS]
    folder = notebooks_folder()
    lines = [f"{site.title or site.name} (site {site.name})", ""]
    lines += [f"  {f.topic:<12}{f.status!s:<9}{f.text}{' ' + f.advice if f.advice else ''}" for f in facts]
    for group, tasks in itertools.groupby(TASKS, key=lambda task: task.group):
        lines += ["", group]
        lines += [f"  {task.what:<36}{task.command:<28}{task.notebook}" for task in tasks]
    where = (
        f"jupyter lab {folder / 'index.ipynb'}" if folder is not None else "the notebooks are not installed"
    )
    lines += ["", f"In the browser: {where}", "Everything else: commtools --help"]
    document = {
        "site": site.name,
        "facts": [fact.to_dict() for fact in facts],
        "notebooks": None if folder is None else str(folder),
    }
    context.emit(document, "\n".join(safe_text(line) for line in lines))
    return 1 if any(fact.status is Status.BAD for fact in facts) else 0
