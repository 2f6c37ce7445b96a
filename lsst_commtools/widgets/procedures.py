"""Panels for procedures: a form of a notebook's parameters, and the signatures that a hold waits for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets

from lsst_commtools.errors import CommtoolsError, ParameterError
from lsst_commtools.procedure.ledger import Ledger
from lsst_commtools.procedure.notebook import read_notebook
from lsst_commtools.procedure.parameters import Parameter, check_parameters, from_text
from lsst_commtools.procedure.parameters.read import NO_DEFAULT
from lsst_commtools.procedure.runner import notebook_parameters
from lsst_commtools.procedure.runs import sign, waiting_holds
from lsst_commtools.procedure.values import Event
from lsst_commtools.site import Site
from lsst_commtools.widgets.style import FIELD, WRAP, Panel, Tone, safe

__all__ = ["ParameterForm", "SignPanel"]

_WIDE = ipywidgets.Layout(width="32em", max_width="100%")
_LABEL = {"description_width": "12em"}


class ParameterForm(Panel):
    """Form of a notebook's parameters, made from its parameters cell and checked by the same rules as a run.

    Parameters
    ----------
    notebook
        The notebook.
    """

    def __init__(self, notebook: Path | str) -> None:
        path = Path(notebook)
        self._parameters = notebook_parameters(read_notebook(path).nb)
        self._fields = {p.name: _field(p) for p in self._parameters}
        for widget in self._fields.values():
            widget.observe(lambda _: self.check(), names="value")
        rows = [
            ipywidgets.HBox([self._fields[p.name], ipywidgets.HTML(_hint(p))], layout=WRAP)
            for p in self._parameters
        ]
        super().__init__([ipywidgets.HTML(f"<h3>{safe(path.name)}</h3>"), *rows])
        self.check()

    @property
    def values(self) -> dict[str, Any]:
        """The values, checked; what was left at its default is not among them.

        Raises
        ------
        ParameterError
            If one does not fit.
        """
        given = {}
        for parameter in self._parameters:
            shown = self._fields[parameter.name].value
            if shown == _shown_default(parameter):
                continue
            given[parameter.name] = from_text(parameter, shown) if isinstance(shown, str) else shown
        return check_parameters(self._parameters, given)

    def fill(self, values: Mapping[str, Any]) -> None:
        """Fill in values, for instance those of an earlier run.

        Parameters
        ----------
        values
            Values by name; names that the form does not have are left out.
        """
        for name, value in values.items():
            if name in self._fields:
                field = self._fields[name]
                field.value = (
                    _text(value) if isinstance(field, ipywidgets.Text | ipywidgets.Password) else value
                )

    def check(self) -> bool:
        """Check all values and say what does not fit.

        Returns
        -------
        bool
            Whether the notebook could run with them.
        """
        try:
            found = self.values
        except ParameterError as error:
            self.tell(error.message, Tone.BAD)
            return False
        names = ", ".join(found) or "all defaults"
        self.tell(f"Ready ({names}).", Tone.GOOD)
        return True


class SignPanel(Panel):
    """What the holds of a run wait for, with what was observed, and buttons to sign it.

    Parameters
    ----------
    run
        Name of the run.
    site
        Where it works, by default as `Site.load` says.

    Notes
    -----
    A kernel that waits at a hold does not serve widgets: show the panel in another notebook.
    """

    def __init__(self, run: str, site: Site | None = None) -> None:
        self._run = run
        self._site = site or Site.load()
        self._ledger = Ledger.at(self._site.procedure)
        self._holds: list[Event] = []
        self._shown = ipywidgets.HTML()
        self._role = ipywidgets.Dropdown(description="role", options=[], layout=FIELD)
        self._name = ipywidgets.Text(description="name", placeholder="who signs", layout=FIELD)
        self._comment = ipywidgets.Text(description="comment", layout=FIELD)
        self._go = ipywidgets.Button(description="Go", button_style="success", icon="check")
        self._no_go = ipywidgets.Button(description="No-go", button_style="danger", icon="times")
        self._again = ipywidgets.Button(description="Look again", icon="refresh")
        self._go.on_click(lambda _: self.in_background(lambda: self.sign(go=True), "Signing"))
        self._no_go.on_click(lambda _: self.in_background(lambda: self.sign(go=False), "Signing"))
        self._again.on_click(lambda _: self.in_background(self.refresh, "Looking"))
        super().__init__(
            [
                self._shown,
                ipywidgets.HBox([self._role, self._name, self._comment], layout=WRAP),
                ipywidgets.HBox([self._go, self._no_go, self._again], layout=WRAP),
            ]
        )
        self.refresh()

    def refresh(self) -> None:
        """Show the hold that waits now, and what was observed there."""
        try:
            self._holds = waiting_holds(self._ledger, self._run)
        except CommtoolsError as error:
            self.tell(error, Tone.BAD)
            return
        waiting = bool(self._holds)
        self._go.disabled = self._no_go.disabled = not waiting
        if not waiting:
            self._shown.value = "<p>No hold of this run waits.</p>"
            self._role.options = []
            return
        hold = self._holds[0].data
        observation = safe(json.dumps(hold["observation"], indent=2, ensure_ascii=False))
        self._shown.value = (
            f"<h3>Hold: {safe(hold['name'])}</h3><p>People who must sign: {hold['people']}, until "
            f"{safe(hold['deadline_utc'])} UTC. You sign this observation:</p><pre class='ct'>{observation}</pre>"
        )
        if tuple(self._role.options) != tuple(hold["roles"]):
            self._role.options = hold["roles"]
            self._role.index = 0

    def sign(self, *, go: bool) -> None:
        """Sign the hold that is shown.

        Parameters
        ----------
        go
            Whether it is a go.
        """
        if not self._holds:
            self.tell("No hold waits.", Tone.WARNING)
            return
        shown = self._holds[0].data
        self.refresh()
        if not self._holds or self._holds[0].data["digest"] != shown["digest"]:
            self.tell("The hold has changed since it was shown; nothing was signed.", Tone.WARNING)
            return
        try:
            signature = sign(
                self._ledger,
                self._site.procedure,
                self._run,
                shown["step"],
                role=str(self._role.value),
                name=self._name.value,
                go=go,
                comment=self._comment.value,
            )
        except CommtoolsError as error:
            self.tell(error, Tone.BAD)
            return
        self.tell(
            f"{signature.name} ({signature.role}) signed: {'go' if go else 'no-go'}, {signature.at_utc[:19]}Z UTC.",
            Tone.GOOD,
        )


def _field(parameter: Parameter) -> Any:
    default = _shown_default(parameter)
    options = {"description": parameter.name, "style": _LABEL, "layout": _WIDE}
    if parameter.secret:
        return ipywidgets.Password(**options)
    if parameter.kind == "bool" and not parameter.is_list and not parameter.optional:
        return ipywidgets.Checkbox(value=default, **options)
    if parameter.choices and not parameter.is_list and not parameter.optional:
        return ipywidgets.Dropdown(options=list(parameter.choices), value=default, **options)
    return ipywidgets.Text(value=default, placeholder=parameter.default_text, **options)


def _shown_default(parameter: Parameter) -> Any:
    if parameter.secret or parameter.default is NO_DEFAULT:
        return ""
    if not parameter.is_list and not parameter.optional:
        if parameter.kind == "bool":
            return bool(parameter.default)
        if parameter.choices:
            return parameter.default if parameter.default in parameter.choices else parameter.choices[0]
    return _text(parameter.default)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=str)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _hint(parameter: Parameter) -> str:
    bounds = ""
    if parameter.minimum is not None or parameter.maximum is not None:
        low = "" if parameter.minimum is None else parameter.minimum
        high = "" if parameter.maximum is None else parameter.maximum
        bounds = f" {low} to {high}"
    kind = f"{parameter.type_text}{bounds} {parameter.unit}".strip()
    return f"<span>{safe(kind)}{': ' if parameter.help else ''}{safe(parameter.help)}</span>"
