"""The one door out of the program: whatever happens inside leaves as a sentence and an exit code, never a traceback."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from medibridge.cli.screen import Screen
from medibridge.errors import (
    AccessError,
    ChainError,
    FormatError,
    MediBridgeError,
    SealingError,
    StorageError,
    UsageError,
)

if TYPE_CHECKING:
    from medibridge.cli.session import Surroundings

__all__ = ["EXIT_CODES", "Door"]

EXIT_CODES: dict[type[BaseException], int] = {
    UsageError: 2,
    FormatError: 3,
    SealingError: 4,
    StorageError: 5,
    ChainError: 6,
    AccessError: 7,
    KeyboardInterrupt: 130,
}
"""Exit code by branch of the error tree. 0 is success, 1 a fault of the program itself."""


class Door(TyperGroup):
    """The outermost group of commands."""

    def main(self, args: Sequence[str] | None = None, *_: Any, obj: Surroundings | None = None, **__: Any) -> Any:
        """Run the command line, in these surroundings, and end the process with its exit code."""
        arguments = list(sys.argv[1:] if args is None else args)
        screen = Screen(as_json="--json" in arguments)
        try:
            code = super().main(arguments, "medibridge", standalone_mode=False, obj=obj)
        except MediBridgeError as error:
            code = _failed(screen, error)
        except typer.TyperException as error:
            code = _misused(screen, error)
        except BrokenPipeError:
            code = _cut_off()
        except (KeyboardInterrupt, typer.Abort):
            code = EXIT_CODES[KeyboardInterrupt]
        except Exception as error:  # noqa: BLE001 - the last door; a traceback could show what it must not
            code = _broken(screen, error)
        if code == EXIT_CODES[KeyboardInterrupt]:
            screen.fail("Interrupted", "stopped; repeat the command, it completes what was begun")
        sys.exit(code)


def _failed(screen: Screen, error: MediBridgeError) -> int:
    place = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
    screen.fail(type(error).__name__, place + str(error))
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))


def _misused(screen: Screen, error: typer.TyperException) -> int:
    message = error.format_message()
    if message:  # a group without a command has printed its help, and that says it all
        screen.fail(UsageError.__name__, f"{message[0].lower()}{message[1:].rstrip('.')}; --help shows how it is used")
    return EXIT_CODES[UsageError]


def _cut_off() -> int:
    """Whoever read our output, such as ``head``, has seen enough. Nothing more must be written there."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _broken(screen: Screen, error: Exception) -> int:
    """A fault of this program. Its text is not shown: it may hold what nobody may see."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    screen.fail(
        type(error).__name__,
        f"a fault of MediBridge itself ({type(error).__name__} in {where.name}, line {where.lineno}); please report it",
    )
    return 1
