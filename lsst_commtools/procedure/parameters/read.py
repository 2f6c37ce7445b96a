"""Reading the parameters cell: annotations, defaults and comments; nothing of it is run."""

from __future__ import annotations

import ast
import datetime as dt
import io
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lsst_commtools.errors import ParameterError

__all__ = ["KINDS", "NO_DEFAULT", "Parameter", "looks_secret", "read_parameters"]

KINDS = ("int", "float", "str", "bool", "date", "datetime", "day_obs", "csc", "path", "dict", "any")
"""Types that a parameter, or an item of a list, may have."""

NO_DEFAULT = object()
"""Stands for a default that is an expression, known only when the cell runs."""

_NAMES = {
    "int": "int", "float": "float", "str": "str", "bool": "bool", "dict": "dict", "Any": "any", "object": "any",
    "date": "date", "datetime": "datetime", "day_obs": "day_obs", "DayObs": "day_obs", "csc": "csc",
    "CscName": "csc", "path": "path", "Path": "path", "PurePath": "path",
}  # fmt: skip
_LISTS = ("list", "List", "tuple", "Tuple", "Sequence")
_OPTIONS = ("min", "max", "choices", "kind", "unit", "secret")
_TYPE_COMMENT = re.compile(r"type:\s*([\w.]+(?:\[[^\]]*\])?)\s*")
_OPTION_COMMENT = re.compile(r"\{[^{}]*\}")
_SECRET_NAME = re.compile(
    r"passw(or)?d|passphrase|secret|token|api_?key|private_?key|access_?key|credential|webhook|(^|_)auth($|_)",
    re.IGNORECASE,
)


def looks_secret(name: str) -> bool:
    """Tell whether a name is that of a secret.

    Parameters
    ----------
    name
        Name of a parameter or environment variable.

    Returns
    -------
    bool
        Whether its value must not be shown.
    """
    return _SECRET_NAME.search(name) is not None


@dataclass(frozen=True)
class Parameter:
    """One parameter of a notebook.

    Parameters
    ----------
    name
        Its name.
    kind
        One of `KINDS`.
    default
        Its default, or `NO_DEFAULT` if only the kernel can tell.
    default_text
        The default as it is written.
    is_list
        Whether it is a list of that kind.
    optional
        Whether None is allowed.
    declared
        Whether the notebook says the type; else it was guessed from the default.
    choices
        Allowed values; empty for all.
    minimum, maximum
        Bounds, both allowed; None for no bound.
    unit
        Unit of a number.
    secret
        Whether its value is never shown or kept.
    help
        What its comment says.
    """

    name: str
    kind: str
    default: Any
    default_text: str
    is_list: bool = False
    optional: bool = False
    declared: bool = False
    choices: tuple[Any, ...] = ()
    minimum: Any = None
    maximum: Any = None
    unit: str = ""
    secret: bool = False
    help: str = ""

    @property
    def type_text(self) -> str:
        """Its type, as people write it."""
        text = f"list[{self.kind}]" if self.is_list else self.kind
        return f"{text} or None" if self.optional else text


def read_parameters(source: str) -> list[Parameter]:
    """Read the source of a parameters cell.

    Parameters
    ----------
    source
        Python: one assignment a line. A comment at its end is its help, and may hold options in braces:
        ``exposure_s: float = 2.0  # Exposure time {min: 0.1, max: 30, unit: s}``. Options are min, max, choices,
        kind (day_obs, csc, path), unit and secret.

    Returns
    -------
    list of Parameter
        In the order of the cell. Lines that are no assignments are passed over.

    Raises
    ------
    ParameterError
        If the options of a comment cannot be understood.
    """
    comments = _comments(source)
    found: dict[str, Parameter] = {}
    for statement, first, last in _statements(source):
        target = (
            statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        )
        if not isinstance(target, ast.Name) or getattr(statement, "value", None) is None:
            continue
        annotation = statement.annotation if isinstance(statement, ast.AnnAssign) else None
        comment = comments.get(last) or comments.get(first) or _comment_above(source, comments, first)
        found[target.id] = _parameter(target.id, annotation, statement.value, comment or "")  # type: ignore[attr-defined]  # only Assign and AnnAssign have both
    return list(found.values())


def _statements(source: str) -> list[tuple[ast.stmt, int, int]]:
    """Parse what can be parsed: of a cell with a broken line the others are read all the same."""
    try:
        return [(s, s.lineno, s.end_lineno or s.lineno) for s in ast.parse(source).body]
    except SyntaxError:
        found = []
        for number, line in enumerate(source.splitlines(), 1):
            try:
                found += [(s, number, number) for s in ast.parse(line).body]
            except SyntaxError:
                continue
        return found


def _comments(source: str) -> dict[int, str]:
    comments: dict[int, str] = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                comments[token.start[0]] = token.string.lstrip("#").strip()
    except (tokenize.TokenError, SyntaxError):
        pass  # what was read up to the broken line counts
    return comments


def _comment_above(source: str, comments: dict[int, str], line: int) -> str:
    lines = source.splitlines()
    above = line - 1
    collected: list[str] = []
    while above >= 1 and above in comments and lines[above - 1].lstrip().startswith("#"):
        collected.insert(0, comments[above])
        above -= 1
    text = " ".join(collected)
    return "" if text.casefold() in ("parameters", "parameters:") else text


def _parameter(name: str, annotation: ast.expr | None, value: ast.expr, comment: str) -> Parameter:
    default = _literal(value)
    kind, is_list, optional, choices = "any", False, default is None, ()
    declared = False
    type_comment = _TYPE_COMMENT.match(comment)
    if annotation is None and type_comment:
        comment = comment[type_comment.end() :]
        try:
            annotation = ast.parse(type_comment[1], mode="eval").body
        except SyntaxError:
            annotation = None
    if annotation is not None:
        kind, is_list, may_be_none, choices = _annotated(annotation)
        optional, declared = optional or may_be_none, kind != "any" or bool(choices)
    elif default is not NO_DEFAULT:
        kind, is_list = _guess(default)
    options, help_text = _options(name, comment)
    if "kind" in options:
        kind, declared = str(options["kind"]), True
        if kind not in KINDS:
            raise ParameterError(
                f"The parameter {name!r} has the unknown kind {kind!r}.", advice=f"Known: {KINDS}."
            )
    elif kind in ("int", "any") and (name == "day_obs" or name.endswith("_day_obs")):
        kind, declared = "day_obs", declared or default not in (None, NO_DEFAULT)
    return Parameter(
        name=name,
        kind=kind,
        default=default,
        default_text=ast.unparse(value),
        is_list=is_list,
        optional=optional,
        declared=declared or bool(options),
        choices=tuple(options.get("choices") or choices),
        minimum=options.get("min"),
        maximum=options.get("max"),
        unit=str(options.get("unit") or ""),
        secret=bool(options.get("secret", looks_secret(name))),
        help=help_text,
    )


def _options(name: str, comment: str) -> tuple[dict[str, Any], str]:
    match = _OPTION_COMMENT.search(comment)
    if match is None:
        return {}, comment
    try:
        options = yaml.safe_load(match[0])
    except yaml.YAMLError:
        options = None
    if not isinstance(options, dict) or not set(options) <= set(_OPTIONS):
        raise ParameterError(
            f"The options {match[0]} of the parameter {name!r} cannot be understood.",
            advice=f"Write for instance {{min: 0, max: 10}}; known are {', '.join(_OPTIONS)}.",
        )
    return options, (comment[: match.start()] + comment[match.end() :]).strip()


def _literal(value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, MemoryError, RecursionError):
        pass
    if isinstance(value, ast.Call) and not value.keywords:
        called = ast.unparse(value.func).rsplit(".", 1)[-1]
        maker = {"date": dt.date, "datetime": dt.datetime, "Path": Path, "fromisoformat": None}.get(called)
        try:
            arguments = [ast.literal_eval(argument) for argument in value.args]
            return maker(*arguments) if maker is not None else NO_DEFAULT
        except (ValueError, TypeError):
            return NO_DEFAULT
    return NO_DEFAULT


def _annotated(node: ast.expr) -> tuple[str, bool, bool, tuple[Any, ...]]:
    """Read an annotation: kind, whether a list, whether None is allowed, choices."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return _annotated(ast.parse(node.value, mode="eval").body)
        except SyntaxError:
            return "any", False, False, ()
    if isinstance(node, ast.Constant) and node.value is None:
        return "any", False, True, ()
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        left, right = _annotated(node.left), _annotated(node.right)
        main, other = (right, left) if _is_none(node.left) else (left, right)
        if _is_none(node.left) or _is_none(node.right):
            return main[0], main[1], True, main[3]
        return ("float" if {main[0], other[0]} == {"int", "float"} else "any"), False, main[2] or other[2], ()
    if isinstance(node, ast.Subscript):
        return _subscripted(node)
    name = ast.unparse(node).rsplit(".", 1)[-1]
    return ("any", True, False, ()) if name in _LISTS else (_NAMES.get(name, "any"), False, False, ())


def _subscripted(node: ast.Subscript) -> tuple[str, bool, bool, tuple[Any, ...]]:
    """Read an annotation with brackets."""
    outer = ast.unparse(node.value).rsplit(".", 1)[-1]
    inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
    if outer == "Literal":
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        choices = tuple(item.value for item in items if isinstance(item, ast.Constant))
        return _guess(choices[0])[0] if choices else "any", False, False, choices
    if outer == "Optional":
        kind, is_list, _, choices = _annotated(inner)
        return kind, is_list, True, choices
    if outer == "Annotated":
        return _annotated(inner)
    if outer in _LISTS:
        kind, _, _, choices = _annotated(inner)
        return kind, True, False, choices
    return _NAMES.get(outer, "any"), False, False, ()


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _guess(default: Any) -> tuple[str, bool]:
    if isinstance(default, list | tuple):
        kinds = {_guess(item)[0] for item in default}
        return (kinds.pop() if len(kinds) == 1 else "any"), True
    for kind, name in (
        (bool, "bool"), (int, "int"), (float, "float"), (str, "str"), (dict, "dict"),
        (dt.datetime, "datetime"), (dt.date, "date"), (Path, "path"),
    ):  # fmt: skip
        if isinstance(default, kind):
            return name, False
    return "any", False
