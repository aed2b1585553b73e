"""The `atrium` command."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from server.db.bootstrap import bootstrap as make_ready
from server.db.database import Database
from server.db.partitions import ensure_months
from server.health import local_address, names, serving
from server.jobs.aside import Aside, put_aside, retry
from server.kernel.refusal import CommandRefused
from server.kernel.sealing import MasterKeyUnknown
from server.operating import founded, rewrapped, rotated
from server.prepare import apart, existing, located
from server.settings import Settings, SettingsError, load_settings
from server.telemetry import configure_logging

app = typer.Typer(
    help="The multi-tenant backend of an AI product, over gRPC.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
migrate = typer.Typer(help="Bring a database of your own to the schema that this version needs.", no_args_is_help=True)
app.add_typer(migrate, name="migrate")
signing_key = typer.Typer(help="See to the key that access tokens are signed with.", no_args_is_help=True)
app.add_typer(signing_key, name="signing-key")
master_key = typer.Typer(help="See to the key that all other keys are kept under.", no_args_is_help=True)
app.add_typer(master_key, name="master-key")
partitions = typer.Typer(help="See to the months of the tables that grow.", no_args_is_help=True)
app.add_typer(partitions, name="partitions")
jobs = typer.Typer(help="See to the jobs that were put aside: they failed too often.", no_args_is_help=True)
app.add_typer(jobs, name="jobs")

# Ids tell milliseconds since 1970, and PostgreSQL is told where each month ends.
_FIRST_YEAR, _LAST_YEAR = 1970, 2999

_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)


@contextmanager
def _explained(**overrides: object) -> Iterator[Settings]:
    """The settings, with what the command line says instead. What is wrong with them, or with what they name, ends the
    command with a sentence.
    """
    try:
        settings = load_settings(**{name: value for name, value in overrides.items() if value is not None})
        configure_logging(settings)
        yield settings
    except CommandRefused as error:
        _err.print(f"[bold red]atrium:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(1) from None


@app.command()
def serve(
    *,
    address: Annotated[str | None, typer.Option(help="host:port, in place of ATRIUM_ADDRESS")] = None,
    processes: Annotated[int | None, typer.Option(help="how many share the port, in place of ATRIUM_PROCESSES")] = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C, and say how to reach it."""
    with suppress(ValueError):  # but in a thread, which hears of no signal
        signal.signal(signal.SIGTERM, _end)  # until what serves hears it, and stops in its own way
    with _explained(address=address, processes=processes) as settings, located(settings) as ready:
        with apart(founded, settings, ready) as prepared:
            # What serves takes two seconds to load, here and below: meanwhile.
            from server.launch import serve as serve_until_stopped

            administrator = prepared()
        if administrator is not None:  # said before anything else can go wrong: nobody can say it again
            _out.print("The platform's first administrator; the password is shown this once:")
            _say(f"  tenant platform, login {administrator[0]}, password {administrator[1]}")
        serve_until_stopped(ready, lambda port: _announce(ready, port, administrator))


def _end(number: int, _frame: object) -> None:
    """Leaves nothing running that was begun, and hears the word once: another would cut that short."""
    signal.signal(number, signal.SIG_IGN)
    raise typer.Exit(128 + number)


@app.command()
def worker() -> None:
    """Do jobs until SIGTERM or Ctrl-C, and serve nothing: for machines of their own beside the servers."""
    from server.work import work

    with _explained() as settings:
        if settings.database_url is None:
            raise SettingsError("ATRIUM_DATABASE_URL: is needed for this: `atrium serve` works on the embedded one")
        asyncio.run(work(settings))


def _announce(settings: Settings, port: int, administrator: tuple[str, str] | None) -> None:
    address = local_address(settings.address, port)
    certificate = settings.tls_certificate_file
    _say(f"Atrium serves on {address} ({'no TLS' if certificate is None else 'TLS'}). Stop it with Ctrl-C.")
    words = ["grpcurl"]
    if certificate is None:
        words += ["-plaintext"]
    else:
        words += ["-cacert", str(certificate)]
        if (known := names(certificate)) and address.rpartition(":")[0] not in known:
            words += ["-authority", known[0]]  # this machine goes by another name here
    lines = ["Try:"]
    if settings.tls_client_ca_file is not None:
        words += ["-cert", "CLIENT.pem", "-key", "CLIENT.key"]
        lines = ["Try, with a client's certificate and key of your own in place of CLIENT.pem and CLIENT.key:"]
    if not settings.serves_reflection:
        lines.append("  atrium descriptors > atrium.binpb")
        words += ["-protoset", "atrium.binpb"]
    method = "GetJwks"
    if administrator is not None:
        method = "Login"
        login, password = administrator
        words += ["-d", f'{{"tenant": "platform", "login": "{login}", "password": "{password}"}}']
    lines.append("  " + shlex.join([*words, address, f"atrium.identity.v1.IdentityService/{method}"]))
    _say("\n".join(lines))


@app.command()
def descriptors() -> None:
    """Write the descriptor set of every service onto standard output, for clients without the protos."""
    from server.app import described

    sys.stdout.buffer.write(described().SerializeToString())


def _say(text: str) -> None:
    """Prints the text as it is, at once, in lines that are not broken: to be copied."""
    _out.print(text, markup=False, soft_wrap=True)
    _out.file.flush()


@migrate.command()
def bootstrap() -> None:
    """Make the roles, the vector extension and the event triggers that the schema stands on."""
    with _explained() as settings:
        for sentence in asyncio.run(make_ready(_owner(settings))):
            _out.print(sentence)


@migrate.command()
def up(revision: Annotated[str, typer.Argument(help="the revision to stop at")] = "head") -> None:
    """Run the migrations that are missing, and make the months ahead."""
    from server.db import migrate as migration  # alembic, which no other command needs

    with _explained() as settings:
        asyncio.run(migration.up(_owner(settings), revision))
        _show_status(settings)


@migrate.command()
def down(revision: Annotated[str, typer.Argument(help="the revision to go back to; base: to nothing")]) -> None:
    """Undo the migrations after a revision, and what they hold with them."""
    from server.db import migrate as migration

    with _explained() as settings:
        asyncio.run(migration.down(_owner(settings), revision))
        _show_status(settings)


@migrate.command()
def status() -> None:
    """Say which revision the database has, and which this version needs."""
    with _explained() as settings:
        _show_status(settings)


def _show_status(settings: Settings) -> None:
    from server.db import migrate as migration

    found, needed = asyncio.run(migration.status(_owner(settings)))
    _out.print(f"The database has {found or 'nothing'}; this version needs {needed}.")


def _owner(settings: Settings) -> str:
    if settings.admin_database_url is None:
        raise SettingsError("ATRIUM_ADMIN_DATABASE_URL: is needed for this: the database as its owner")
    return settings.admin_database_url


@partitions.command()
def ensure(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m"], help="the first month, such as 2026-01")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m"], help="the last month")],
) -> None:
    """Make the months from one to another that are missing, for imports of what is past."""
    if not _FIRST_YEAR <= first.year <= last.year <= _LAST_YEAR or last < first:
        raise typer.BadParameter(f"must be of the years {_FIRST_YEAR} to {_LAST_YEAR}, the first month before the last")
    with _explained() as settings:
        asyncio.run(ensure_months(_owner(settings), first.date(), last.date()))
        _out.print(f"Every month from {first:%Y-%m} to {last:%Y-%m} is there.")


@signing_key.command()
def rotate(
    *, compromised: Annotated[bool, typer.Option(help="refuse every token of the old keys from now on")] = False
) -> None:
    """Replace the key before its time: the old one's tokens stay good until they expire."""
    with _explained() as settings, existing(settings) as ready:
        key = asyncio.run(rotated(ready, compromised=compromised))
        _out.print(f"The key {key.kid} signs from {key.not_before:%Y-%m-%d %H:%M:%S} UTC on.")


@master_key.command()
def rewrap() -> None:
    """Keep every key in the database under ATRIUM_MASTER_KEY, those too that are under one of the others."""
    with _explained() as settings, existing(settings) as ready:
        try:
            count = asyncio.run(rewrapped(ready))
        except MasterKeyUnknown:
            raise SettingsError("ATRIUM_OTHER_MASTER_KEYS: lacks a master key that something is kept under") from None
        _out.print(f"Every key, {count} in all, is kept under the master key {ready.master_keys.key_id}.")


@jobs.command(name="failed")
def failed_jobs() -> None:
    """List them, the last ones first."""

    async def listed(settings: Settings) -> list[Aside]:
        async with Database.open(settings) as database:
            return await put_aside(database)

    with _explained() as settings, existing(settings) as ready:
        for job in asyncio.run(listed(ready)):
            about = f" ({job.key})" if job.key else ""
            _say(f"{job.id}  {job.at:%Y-%m-%d %H:%M:%S} UTC  {job.entrypoint}{about}  {job.error or 'no end'}")


@jobs.command(name="retry")
def retry_jobs(
    ids: Annotated[list[int] | None, typer.Argument(help="which of them; none: all", show_default=False)] = None,
) -> None:
    """Have them done anew, once what they failed for is mended."""

    async def again(settings: Settings) -> list[int]:
        async with Database.open(settings) as database:
            return await retry(database, ids or None)

    with _explained() as settings, existing(settings) as ready:
        count = len(asyncio.run(again(ready)))
        _out.print(f"{count} {'job is' if count == 1 else 'jobs are'} done anew.")


@app.command()
def demo() -> None:
    """Take the tour of the whole product, on real parts, and exit 0 if everything held."""
    from server import demo as tour

    with _explained() as settings:
        tour.take(settings, _out)


@app.command()
def health() -> None:
    """Ask the server of these settings whether it serves, and exit 0 if it does."""
    with _explained() as settings:
        if not serving(settings):
            _err.print("not serving")
            raise typer.Exit(1)
        _out.print("serving")
