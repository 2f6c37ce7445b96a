"""A notebook run inside a forked process by an IPython shell, without a kernel: fast, for quality checks only."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Any as AnyTrait
from traitlets import Type
from traitlets.config import Config
from typing_extensions import override

__all__ = ["RESULTS", "run_in_process"]

RESULTS = "results"
"""Tag of cells whose variables go back to who asked for the run."""


class Outputs(list[dict[str, Any]]):
    """Outputs of the running cell, as a notebook holds them."""

    clear_next = False

    def add(self, output: dict[str, Any]) -> None:
        """Add an output, after a clearing that was put off until now."""
        if self.clear_next:
            self.clear()
            self.clear_next = False
        self.append(output)

    def write(self, name: str, text: str) -> None:
        """Add text of a stream; pieces that follow each other are one output."""
        if self and not self.clear_next and self[-1].get("name") == name:
            self[-1]["text"] += text
        else:
            self.add({"output_type": "stream", "name": name, "text": text})


class _Stream:
    """Standard output or error of a cell."""

    encoding, errors = "utf-8", "strict"

    def __init__(self, outputs: Outputs, name: str, descriptor: int) -> None:
        self._outputs, self._name, self._descriptor = outputs, name, descriptor

    def write(self, text: str) -> int:
        self._outputs.write(self._name, text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Do nothing: all is kept at once."""

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor


class _Publisher(DisplayPublisher):
    outputs = AnyTrait()

    @override
    def publish(
        self,
        data: dict[str, Any],
        metadata: Any = None,
        source: Any = None,
        *,
        transient: Any = None,
        update: bool = False,
        **_: Any,
    ) -> None:
        output = {"output_type": "display_data", "data": _plain(data), "metadata": metadata or {}}
        name = (transient or {}).get("display_id")
        if update:
            for earlier in self.shell.displayed.get(name, []):
                earlier.update(data=_plain(data), metadata=metadata or {})
            return
        if name is not None:
            self.shell.displayed.setdefault(name, []).append(output)
        self.outputs.add(output)

    @override
    def clear_output(self, wait: bool = False) -> None:
        if wait:
            self.outputs.clear_next = True
        else:
            self.outputs.clear()


class _Hook(DisplayHook):
    outputs = AnyTrait()

    @override
    def start_displayhook(self) -> None:
        """Write no prompt."""

    @override
    def write_output_prompt(self) -> None:
        """Write no prompt."""

    @override
    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        self.outputs.add(
            {
                "output_type": "execute_result",
                "execution_count": self.prompt_count,
                "data": _plain(format_dict),
                "metadata": md_dict or {},
            }
        )

    @override
    def finish_displayhook(self) -> None:
        """Write no end."""


class _Shell(InteractiveShell):
    """A shell whose outputs go into a notebook."""

    displayhook_class = Type(_Hook)
    display_pub_class = Type(_Publisher)
    displayed: dict[str, list[dict[str, Any]]]

    def __init__(self, outputs: Outputs, **options: Any) -> None:
        self.displayed = {}
        self.outputs = outputs
        super().__init__(**options)  # type: ignore[no-untyped-call]  # IPython is typed in part
        self.displayhook.outputs = self.display_pub.outputs = outputs

    @override
    def _showtraceback(self, etype: type[BaseException], evalue: BaseException, stb: list[str]) -> None:
        self.outputs.add(
            {"output_type": "error", "ename": etype.__name__, "evalue": str(evalue), "traceback": list(stb)}
        )

    @override
    def enable_gui(self, gui: Any = None) -> None:
        """Have no window system."""

    @override
    def raw_input(self, prompt: str = "") -> str:
        raise EOFError("nobody can answer: this notebook runs in a batch")


def run_in_process(order: dict[str, Any], result: int | None) -> int:
    """Run a notebook in this process.

    Parameters
    ----------
    order
        ``notebook``: its content; ``output``: where it is written, or None.
    result
        Open file to which the outcome is written as JSON: ``status``, ``error``, ``cell``, ``results``, ``times_s``.

    Returns
    -------
    int
        0 if all cells completed.
    """
    begun = time.perf_counter()
    nb = order["notebook"]
    try:
        outcome = _run_cells(nb)
    except Exception as error:  # noqa: BLE001 - nobody but the one who asked can be told
        outcome = {
            "status": "aborted",
            "error": f"{type(error).__name__}: {error}",
            "cell": None,
            "results": {},
        }
    outcome["run_s"] = time.perf_counter() - begun
    if order.get("output") is not None:
        from lsst_commtools.procedure.notebook import write_atomic

        write_atomic(json.dumps(nb, indent=1, ensure_ascii=False) + "\n", Path(order["output"]))
    if result is not None:
        with os.fdopen(result, "w", encoding="utf-8") as stream:
            json.dump(outcome, stream)
    return 0 if outcome["status"] == "done" else 1


def _run_cells(nb: dict[str, Any]) -> dict[str, Any]:
    """Run the cells of a notebook until one fails."""
    outputs = Outputs()
    _Shell.clear_instance()
    # Forks that run at a time must not wait for each other's lock on the history.
    shell = _Shell.instance(outputs=outputs, config=Config({"HistoryManager": {"enabled": False}}))
    sys.path.insert(0, "")
    outcome: dict[str, Any] = {"status": "done", "error": None, "cell": None}
    with _captured(outputs):
        for index, cell in enumerate(nb["cells"]):
            if cell["cell_type"] != "code" or not "".join(cell["source"]).strip():
                continue
            outputs.clear()
            ended = shell.run_cell("".join(cell["source"]), store_history=True)
            cell["execution_count"] = ended.execution_count
            cell["outputs"] = list(outputs)  # the same objects, so that later cells can update them
            error = ended.error_before_exec or ended.error_in_exec
            if error is not None and "raises-exception" not in cell.get("metadata", {}).get("tags", []):
                outcome.update(status="failed", cell=index, error=f"{type(error).__name__}: {error}")
                break
    outcome["results"] = _results(nb, shell.user_ns)
    return outcome


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    """Give data of an output as JSON holds them: pictures as base64 text."""
    return {
        kind: base64.b64encode(found).decode() if isinstance(found, bytes) else found
        for kind, found in data.items()
    }


def _results(nb: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """Give the variables that cells tagged ``results`` set."""
    import ast

    from lsst_commtools.procedure.values import plain

    found: dict[str, Any] = {}
    for cell in nb["cells"]:
        if RESULTS not in cell.get("metadata", {}).get("tags", []):
            continue
        with contextlib.suppress(SyntaxError):
            for node in ast.walk(ast.parse("".join(cell["source"]))):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in names:
                    found[node.id] = plain(names[node.id])
    return found


@contextlib.contextmanager
def _captured(outputs: Outputs) -> Iterator[None]:
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Stream(outputs, "stdout", 1), _Stream(outputs, "stderr", 2)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = kept
