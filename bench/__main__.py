"""Runs the benches, prints what they found and writes it to bench/out/, with the servers' log beside it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import (
    audit,
    ends,
    gateway,
    jobs,
    ledger,
    lists,
    logins,
    memory,
    retrieval,
    soak,
    streaming,
    unary,
    usage,
    watch,
    workflows,
)
from bench.figures import Figure

_ALL = (
    unary,
    streaming,
    gateway,
    ledger,
    usage,
    watch,
    soak,
    memory,
    ends,
    jobs,
    logins,
    lists,
    audit,
    retrieval,
    workflows,
)
BENCHES = {module.__name__.rpartition(".")[2]: module.run for module in _ALL}
OUT = Path(__file__).parent / "out"


def main() -> None:
    wanted = sys.argv[1:] or list(BENCHES)
    if unknown := [name for name in wanted if name not in BENCHES]:
        sys.exit(f"no bench {', '.join(unknown)}: there are {', '.join(BENCHES)}")
    console = Console()
    OUT.mkdir(exist_ok=True)
    # A line for every call of a bench would bury its table; a file is where a server's log goes anyway.
    with (OUT / "server.log").open("wb") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
    for name in wanted:
        with console.status(f"measuring {name}"):
            figures = BENCHES[name]()
        console.print(_table(name, figures))
        (OUT / f"{name}.json").write_text(json.dumps([figure.as_json() for figure in figures], indent=2) + "\n")


def _table(name: str, figures: list[Figure]) -> Table:
    table = Table("metric", "value", "unit", "goal", "holds", title=name, title_justify="left")
    for figure in figures:
        holds = "" if figure.holds is None else "[green]yes[/]" if figure.holds else "[red]no[/]"
        table.add_row(figure.metric, f"{figure.value:,.3g}", figure.unit, figure.goal_text, holds)
    return table


if __name__ == "__main__":
    main()
