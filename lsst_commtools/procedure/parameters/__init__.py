"""Typed parameters of a notebook: read from its parameters cell, checked before a kernel starts."""

from lsst_commtools.procedure.parameters.check import check_parameters, convert, from_text
from lsst_commtools.procedure.parameters.inject import injected_source, json_values
from lsst_commtools.procedure.parameters.read import Parameter, read_parameters
from lsst_commtools.procedure.parameters.schema import help_rows, json_schema

__all__ = [
    "Parameter",
    "check_parameters",
    "convert",
    "from_text",
    "help_rows",
    "injected_source",
    "json_schema",
    "json_values",
    "read_parameters",
]
