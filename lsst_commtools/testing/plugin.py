"""The pytest plugin: one item for each notebook and set of parameters in a ``*.golden.json`` file.

``pytest --update-goldens`` writes what was found into the files, keeping tolerances; look at the difference before it
is committed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

if TYPE_CHECKING:
    from lsst_commtools.testing.goldens import GoldenCase, GoldenFile

__all__ = ["GoldenCollector", "GoldenItem", "pytest_addoption", "pytest_collect_file"]

# pytest loads this module in each of its runs, wherever this package is installed: it imports nothing more.


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's option."""
    group = parser.getgroup("lsst_commtools", "golden numbers of notebooks")
    group.addoption(
        "--update-goldens", action="store_true", help="write what was found into the golden files"
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect golden files."""
    if not file_path.name.endswith(".golden.json"):
        return None
    collector: pytest.Collector = GoldenCollector.from_parent(parent, path=file_path)
    return collector


class GoldenCollector(pytest.File):
    """A golden file."""

    @override
    def collect(self) -> Iterator[pytest.Item]:
        from lsst_commtools.testing.goldens import load_goldens

        goldens = load_goldens(self.path)
        for case in goldens.cases if goldens is not None else []:
            item: pytest.Item = GoldenItem.from_parent(self, name=case.id, goldens=goldens, case=case)
            yield item


class GoldenMisfitError(AssertionError):
    """Raised when a notebook does not give what is expected of it."""


class GoldenItem(pytest.Item):
    """A notebook with one set of parameters.

    Parameters
    ----------
    goldens
        The file.
    case
        The set of parameters.
    **options
        Those of pytest.
    """

    def __init__(self, *, goldens: GoldenFile, case: GoldenCase, **options: Any) -> None:
        super().__init__(**options)
        self._goldens = goldens
        self._case = case

    @override
    def runtest(self) -> None:
        from lsst_commtools.testing.goldens import compare_figures, compare_numbers

        folder = self._folder()
        numbers, figures = self._run(folder)
        if self.config.getoption("--update-goldens"):
            self._update(numbers, figures)
            return
        misfits = compare_numbers(self._case.numbers, numbers)
        misfits += compare_figures(self._case.figures, figures, self._case.rtol)
        if misfits:
            raise GoldenMisfitError(
                "\n".join([*misfits, f"the executed notebook: {folder / 'output.ipynb'}"])
            )

    def _folder(self) -> Path:
        factory: pytest.TempPathFactory = self.config._tmp_path_factory  # type: ignore[attr-defined]  # noqa: SLF001 - items have no fixtures
        return factory.mktemp("notebook")

    def _run(self, folder: Path) -> tuple[dict[str, tuple[Any, str]], list[dict[str, list[Any]]]]:
        """Run the notebook with a ledger of its own; give its numbers and the data of its figures."""
        import nbformat

        from lsst_commtools.procedure.ledger import Ledger
        from lsst_commtools.procedure.runner import run_notebook
        from lsst_commtools.procedure.values import Kind
        from lsst_commtools.site import Site
        from lsst_commtools.testing.figures import figure_columns, page_columns

        site = Site.load()
        settings = {"ledger_url": f"sqlite:///{folder / 'ledger.sqlite'}", "html": False}
        site = site.model_copy(update={"procedure": site.procedure.model_copy(update=settings)})
        notebook = self.path.parent / self._goldens.notebook
        record = run_notebook(
            notebook,
            self._case.parameters,
            output=folder / "output.ipynb",
            site=site,
            kernel_name=self._goldens.kernel,
            run_timeout_s=self._goldens.timeout_s,
            folder=notebook.parent,
        )
        if record.status != "done":
            raise GoldenMisfitError(
                f"the run is {record.status.value}: {record.reason}\n{_errors(record.output)}"
            )
        ledger = Ledger.at(site.procedure)
        events = ledger.events(record.run, [Kind.MEASURED, Kind.ATTACHED])
        numbers = {
            e.data["name"]: (e.data["value"], e.data["unit"]) for e in events if e.kind is Kind.MEASURED
        }
        figures = figure_columns(nbformat.read(folder / "output.ipynb", 4))
        for event in events:
            if event.kind is Kind.ATTACHED and str(event.data.get("path", "")).endswith(".html"):
                figures += page_columns(Path(event.data["path"]))
        return numbers, figures

    def _update(self, numbers: dict[str, tuple[Any, str]], figures: list[dict[str, list[Any]]]) -> None:
        """Write what was found into the file; each case is written by its own item."""
        from lsst_commtools.testing.goldens import summarise

        document = json.loads(self.path.read_text(encoding="utf-8"))
        case = next(c for c in document["cases"] if c["id"] == self._case.id)
        for name, (value, unit) in numbers.items():
            number = case.setdefault("numbers", {}).setdefault(name, {})
            number.update(value=value if not isinstance(value, str) else None, unit=unit)
        for name in [n for n in case.get("numbers", {}) if n not in numbers]:
            del case["numbers"][name]
        case["figures"] = [summarise(columns) for columns in figures]
        self.path.write_text(json.dumps(document, indent=1, sort_keys=False) + "\n", encoding="utf-8")

    @override
    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Tell what does not fit, without our own stack."""
        from lsst_commtools.errors import CommtoolsError

        if isinstance(excinfo.value, GoldenMisfitError | CommtoolsError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    @override
    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Name the item."""
        return self.path, None, f"{self._goldens.notebook}[{self.name}]"


def _errors(output: Path | None) -> str:
    """Give the tracebacks of an executed notebook, without colours."""
    import re

    import nbformat

    if output is None or not output.is_file():
        return ""
    cells = nbformat.read(output, 4).cells
    lines = [
        line
        for cell in cells
        for o in cell.get("outputs", [])
        if o.output_type == "error"
        for line in o.traceback
    ]
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))
