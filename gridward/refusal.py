"""How a command says no: one line on standard error and an exit code."""

from typing import NoReturn

import typer

USER_ERROR, REFUSED = 2, 1  # asked wrongly; asked rightly, and the world, or what was found, says no


def refuse(text: str, code: int = USER_ERROR) -> NoReturn:
    typer.echo(f"gridward: {text}", err=True)
    raise typer.Exit(code)
