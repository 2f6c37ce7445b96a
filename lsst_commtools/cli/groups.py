"""Groups of commands whose modules are imported when they are called, so that help is quick."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click
from typing_extensions import override

__all__ = ["lazy_group"]


def lazy_group(commands: Mapping[str, tuple[str, str]]) -> type[click.Group]:
    """Make the class of a group.

    Parameters
    ----------
    commands
        Name of each subcommand to its module below ``lsst_commtools.cli`` and its help in one line.

    Returns
    -------
    type
        For ``click.group(cls=...)``.
    """

    class LazyGroup(click.Group):
        """A group whose subcommands are imported when they are called."""

        @override
        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(commands)

        @override
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            if cmd_name not in commands:
                return None
            module = importlib.import_module(f"lsst_commtools.cli.{commands[cmd_name][0]}")
            command: click.Command = module.command
            return command

        @override
        def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            with formatter.section("Commands"):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])

    return LazyGroup
