"""The commands that need no chain, no store and no key. They start without what the others import."""

from __future__ import annotations

import typer

from medibridge.cli.convert import convert
from medibridge.cli.coverage import coverage
from medibridge.cli.door import Door
from medibridge.cli.explain import explain
from medibridge.cli.inspection import detect, validate

__all__ = ["app"]

app = typer.Typer(cls=Door, no_args_is_help=True, rich_markup_mode="markdown", add_completion=False)
for command in (convert, detect, validate, explain, coverage):
    app.command()(command)
