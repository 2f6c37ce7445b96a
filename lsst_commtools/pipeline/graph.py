"""The quantum graph of a run: what the data call for, where it is written, and what an earlier run finished."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

__all__ = ["build_graph", "find_done", "open_run", "prepare_run", "without_warnings_of"]


def open_run(
    stack: contextlib.ExitStack, repository: str, inputs: tuple[str, ...], output_run: str
) -> tuple[Butler, tuple[str, ...], bool]:
    """Open the repository, and say what to read and whether the output run is empty.

    Parameters
    ----------
    stack
        Closes the repository.
    repository
        Butler repository.
    inputs
        Collections to read; where there are none, those named ``<instrument>/defaults``.
    output_run
        RUN collection for the outputs, which is made where it is not there.

    Returns
    -------
    butler : lsst.daf.butler.Butler
        Reads the inputs and writes the run.
    collections : tuple of str
        What is read.
    is_new : bool
        Whether the run is empty.

    Raises
    ------
    NotFoundError
        If there is no such repository.
    InputError
        If there is nothing to read, or the output is no run.
    """
    from lsst.daf.butler import Butler, CollectionType, MissingCollectionError

    try:
        butler = stack.enter_context(Butler.from_config(repository, writeable=True))
    except (OSError, ValueError) as error:
        raise NotFoundError(f"{repository} is not a Butler repository: {error}.") from error
    collections = inputs or tuple(sorted(butler.collections.query("*/defaults")))
    if not collections:
        raise InputError(
            f"The repository {repository} has no input collections.", advice="Ingest raw files first."
        )
    try:
        butler.collections.query_info(collections)
    except MissingCollectionError as error:
        raise InputError(f"A collection to read is missing: {error}") from error
    is_new = True
    with contextlib.suppress(MissingCollectionError):
        if butler.collections.get_info(output_run).type is not CollectionType.RUN:
            raise InputError(
                f"{output_run} is not a RUN collection.", advice="Give the name of a run or a new one."
            )
        is_new = not butler.query_all_datasets(output_run, find_first=False, limit=1)
    # In a transaction: the Butler writes a run in two rows, and a kill between them would make it unusable.
    with butler.transaction():
        butler.collections.register(output_run)
    return stack.enter_context(butler.clone(collections=collections, run=output_run)), collections, is_new


def build_graph(butler: Butler, pipeline: str, data_query: str, *, with_records: bool = False) -> Any:
    """Build the quantum graph of all that a query selects, what is done already included.

    Parameters
    ----------
    butler
        From `open_run`.
    pipeline
        Pipeline file.
    data_query
        Butler expression.
    with_records
        Whether the graph holds where its inputs are stored, as workers without the registry need it.

    Returns
    -------
    lsst.pipe.base.quantum_graph.PredictedQuantumGraphComponents
        Which can be written to a file, or assembled.

    Raises
    ------
    InputError
        If the query is refused.
    """
    from lsst.daf.butler import ButlerUserError
    from lsst.pipe.base.separable_pipeline_executor import SeparablePipelineExecutor

    executor = SeparablePipelineExecutor(butler, clobber_output=True)
    try:
        builder = executor.make_quantum_graph_builder(executor.make_pipeline(pipeline), data_query)
        return builder.finish(metadata={"data_query": data_query}, attach_datastore_records=with_records)
    except ButlerUserError as error:
        raise InputError(
            f"The data query is refused: {error}.",
            changed="Nothing was processed.",
            advice="Give for instance: instrument = 'LSSTComCam' AND day_obs = 20261120.",
        ) from error


def prepare_run(butler: Butler, graph: Any) -> None:
    """Register what a graph writes, and write the settings and versions of its tasks.

    Parameters
    ----------
    butler
        From `open_run`.
    graph
        Assembled graph.
    """
    graph.pipeline_graph.register_dataset_types(butler)
    graph.write_init_outputs(butler, skip_existing=True)
    graph.write_configs(butler)
    # It misses eups, which nobody has outside the observatory.
    with without_warnings_of("lsst.utils.packages"):
        graph.write_packages(butler)


@contextlib.contextmanager
def without_warnings_of(name: str) -> Iterator[None]:
    """Keep a logger's warnings from the terminal for a while.

    Parameters
    ----------
    name
        The logger.
    """
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def find_done(butler: Butler, graph: Any, output_run: str) -> frozenset[Any]:
    """Find the quanta that an earlier run finished.

    Parameters
    ----------
    butler
        Of the repository.
    graph
        Assembled graph.
    output_run
        Run that was written.

    Returns
    -------
    frozenset
        Quanta whose metadata are stored, which are the last thing that a quantum writes.
    """
    from lsst.daf.butler import MissingDatasetTypeError

    done: set[Any] = set()
    for label, quanta in graph.quanta_by_task.items():
        try:
            refs = butler.query_datasets(
                f"{label}_metadata", output_run, find_first=False, explain=False, limit=None
            )
        except MissingDatasetTypeError:
            continue
        stored = {tuple(ref.dataId.required_values) for ref in refs}
        done |= {node for data_id, node in quanta.items() if tuple(data_id.required_values) in stored}
    return frozenset(done)
