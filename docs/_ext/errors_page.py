"""The page of errors, from the tree in the code."""

from __future__ import annotations

import inspect

from lsst_commtools.errors import CommtoolsError, error_table

_EXIT_CODES = {
    1: "done, and problems were found",
    2: "bad input, nothing was changed",
    3: "a service or step failed",
}

_HEAD = """# Errors

Each error has a code that does not change, one sentence, and what to do next. The command line prints them on
standard error, `commtools: SENTENCE [CODE]`; with `--format json` standard output holds
`{"error": {"code": ..., "message": ..., "changed": ..., "advice": ...}}`. In Python all of them are in
`lsst_commtools.errors`; catch a class and you catch those below it.

"""


def page() -> str:
    """Write the page."""
    return _HEAD + _drawing() + "".join(_section(kind) for kind in _in_order(CommtoolsError))


def _in_order(kind: type[CommtoolsError]) -> list[type[CommtoolsError]]:
    known = set(error_table().values())
    below = [k for k in kind.__subclasses__() if k in known]
    return [kind, *(k for child in below for k in _in_order(child))]


def _drawing() -> str:
    import lsst_commtools.errors

    tree = (inspect.getdoc(lsst_commtools.errors) or "").split("::", 1)[1]
    return f"```text\n{inspect.cleandoc(tree)}\n```\n"


def _section(kind: type[CommtoolsError]) -> str:
    says = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
    return (
        f"\n## {kind.code}\n\n"
        f"{says}\n\n"
        f"{kind.next_step}\n\n"
        f"`{kind.__name__}`, exit code {kind.exit_code}: {_EXIT_CODES[kind.exit_code]}.\n"
    )
