"""Frozen pipelines: every setting written down, under a name that is the content's."""

from __future__ import annotations

import pytest
import yaml
from lsst.pipe.base import Pipeline

from lsst_commtools.errors import InputError, ServiceError
from lsst_commtools.pipeline import NIGHT_PIPELINE
from lsst_commtools.pipeline.freeze import freeze_pipeline


def settings_of(path):
    return {
        label: node.get_config_str() for label, node in Pipeline.fromFile(str(path)).to_graph().tasks.items()
    }


def test_the_same_settings_are_the_same_file(tmp_path):
    frozen = freeze_pipeline(str(NIGHT_PIPELINE), tmp_path)
    again = freeze_pipeline(frozen.path, tmp_path)
    assert again.sha256 == frozen.sha256 == frozen.path.stem
    assert again.tasks == frozen.tasks
    assert frozen.name == "night"
    assert settings_of(frozen.path) == settings_of(NIGHT_PIPELINE)
    other = freeze_pipeline(str(NIGHT_PIPELINE), tmp_path, {"astrometry.order": 6})
    assert other.sha256 != frozen.sha256
    assert {label for label in other.tasks if other.tasks[label] != frozen.tasks[label]} == {"astrometry"}
    assert len(list(tmp_path.glob("*.yaml"))) == 2


def test_what_cannot_be_written_or_read_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="cannot be written"):
        freeze_pipeline(str(NIGHT_PIPELINE), tmp_path / "file")
    (tmp_path / "bad.yaml").write_text("tasks: [")
    with pytest.raises(InputError, match="cannot be"):
        freeze_pipeline(tmp_path / "bad.yaml", tmp_path)
    (tmp_path / "none.yaml").write_text(yaml.safe_dump({"description": "x", "tasks": {"a": "no.such.Task"}}))
    with pytest.raises(InputError, match="cannot be"):
        freeze_pipeline(tmp_path / "none.yaml", tmp_path)
