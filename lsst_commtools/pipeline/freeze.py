"""Pipelines whose every setting is written down, so that what was chosen can be run again as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lsst_commtools.errors import InputError, NotFoundError, ServiceError

__all__ = ["FrozenPipeline", "freeze_pipeline"]


@dataclass(frozen=True)
class FrozenPipeline:
    """A pipeline with all settings of all tasks.

    Parameters
    ----------
    path
        The file; its name is its hash.
    name
        Stem of the file that it was made from, such as ``night``.
    sha256
        Hash of the content.
    tasks
        Task label to the hash of its settings.
    overrides
        ``label.field`` to what was set besides the pipeline's own settings.
    """

    path: Path
    name: str
    sha256: str
    tasks: Mapping[str, str]
    overrides: Mapping[str, Any]


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as such, so that people can read the settings."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _configured(source: Path, overrides: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Read a pipeline, lay the overrides over it, and give the document and each task's settings as text."""
    from lsst.pex.config import FieldValidationError
    from lsst.pipe.base import Pipeline

    try:
        pipeline = Pipeline.fromFile(str(source))
        for key, value in overrides.items():
            label, dot, field = key.partition(".")
            if not dot:
                raise InputError(
                    f"{key!r} names no setting of a task.",
                    advice="Settings are written as isr.saturation_electron.",
                )
            pipeline.addConfigOverride(label, field, value)
        graph = pipeline.to_graph()
        return yaml.safe_load(str(pipeline)), {
            label: node.get_config_str() for label, node in graph.tasks.items()
        }
    except InputError:
        raise
    except (AttributeError, LookupError, FieldValidationError, TypeError, ValueError, ImportError) as error:
        first = str(error).strip("'\"").partition("\n")[0]
        raise InputError(
            f"The pipeline {source.name} cannot be configured so: {first}.", changed="Nothing was changed."
        ) from error
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"The pipeline {source} cannot be read: {error}.") from error


def freeze_pipeline(
    pipeline: str | Path, folder: Path, overrides: Mapping[str, Any] | None = None
) -> FrozenPipeline:
    """Write a pipeline with every setting of every task, defaults included, under the hash of its content.

    Parameters
    ----------
    pipeline
        Pipeline file.
    folder
        Where to; it is made.
    overrides
        ``label.field`` to value, laid over the pipeline's own settings.

    Returns
    -------
    FrozenPipeline
        The file, which runs like any pipeline; the same settings give the same file.

    Raises
    ------
    NotFoundError
        If there is no such pipeline.
    InputError
        If it cannot be read, or a setting is unknown or does not fit.
    ServiceError
        If the folder cannot be written.
    """
    source, overrides = Path(pipeline), dict(overrides or {})
    if not source.is_file():
        raise NotFoundError(f"There is no pipeline {source}.")
    document, settings = _configured(source, overrides)
    for label, text in settings.items():
        task = document["tasks"][label]
        name = task if isinstance(task, str) else task["class"]
        document["tasks"][label] = {"class": name, "config": [{"python": text}]}
    content = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=110)
    sha256 = _hash(content)
    path = folder / f"{sha256}.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            part = path.with_suffix(".part")
            part.write_text(content, encoding="utf-8")
            part.replace(path)
    except OSError as error:
        raise ServiceError(f"The pipeline cannot be written to {folder}: {error.strerror}.") from error
    return FrozenPipeline(
        path, source.stem, sha256, {label: _hash(text) for label, text in settings.items()}, overrides
    )
