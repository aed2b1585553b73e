"""Everything that is decided outside the code: one frozen `Settings`, read once from `ATRIUM_*` variables."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Collection
from datetime import timedelta
from email.message import EmailMessage
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

import orjson
from pydantic import Field, IPvAnyNetwork, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from server.kernel.refusal import CommandRefused
from server.kernel.sealing import MasterKeys, kept_key, read_key
from server.kernel.urls import HIGHEST_PORT, check_database_url, check_endpoint_url, check_mail_url

# What Kubernetes adds to the environment of every container for a Service named `atrium` or `atrium-…`.
_SERVICE_LINK = re.compile(
    r"_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


class SettingsError(CommandRefused):
    """The settings are wrong; the message names every wrong one."""


class Settings(BaseSettings):
    """The server's settings. A field `x_y` is read from `ATRIUM_X_Y`."""

    model_config = SettingsConfigDict(env_prefix="ATRIUM_", env_ignore_empty=True, frozen=True, extra="forbid")

    environment: Annotated[
        Literal["development", "production"],
        Field(description="production turns reflection off unless ATRIUM_REFLECTION asks for it"),
    ] = "development"

    address: Annotated[
        str, Field(pattern=r"^\S+:\d{1,5}$", description="host:port that gRPC listens on; port 0 takes a free one")
    ] = "127.0.0.1:50051"
    processes: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="server processes that share the port, and among them the cores that hash passwords, one at a "
            "time on each; a process hashes one at a time at least, also where there are fewer cores than processes",
        ),
    ] = 1
    worker: Annotated[
        bool, Field(description="do jobs in the (first) server process too; without it `atrium worker` must run")
    ] = True
    jobs_per_tenant: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="jobs of one tenant that are in the queue at once, waiting for a worker or with one; the "
            "others wait in the tenant's own backlog, and stand before nobody else's",
        ),
    ] = 10
    grace_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=600,
            description="seconds from SIGTERM to the end: calls and jobs under way may take all of them but the last, "
            "in which what was cut short is recorded; of several processes, all but the last two",
        ),
    ] = 10.0
    reflection: Annotated[bool | None, Field(description="serve gRPC reflection; unset: not in production")] = None
    health_address: Annotated[
        str | None,
        Field(
            pattern=r"^\S+:\d{1,5}$",
            description="host:port that answers grpc.health.v1 and nothing else, in plain text: for probes, which "
            "have no certificate to show; unset: none",
        ),
    ] = None
    metrics_address: Annotated[
        str | None,
        Field(
            pattern=r"^\S+:\d{1,5}$",
            description="host:port of the Prometheus metrics; process n takes the n-th port from there; unset: none",
        ),
    ] = None

    tls_certificate_file: Annotated[Path | None, Field(description="PEM certificate chain; unset: no TLS")] = None
    tls_private_key_file: Annotated[
        Path | None, Field(validate_default=True, description="PEM private key of the certificate")
    ] = None
    tls_client_ca_file: Annotated[
        Path | None, Field(description="PEM authorities; set, clients must present a certificate they signed")
    ] = None

    data_dir: Annotated[Path, Field(description="where the embedded PostgreSQL and the master key live")] = Path(
        ".atrium"
    )
    database_url: Annotated[
        str | None, Field(description="PostgreSQL as the role that serves; unset: the embedded one")
    ] = None
    admin_database_url: Annotated[
        str | None, Field(description="the same database as its owner: migrations and maintenance only")
    ] = None
    listen_database_url: Annotated[
        str | None, Field(description="a direct connection for LISTEN, where database_url goes through a pooler")
    ] = None
    pool_size: Annotated[int, Field(ge=1, le=200, description="database connections of one process")] = 10
    master_key: Annotated[
        SecretStr | None,
        Field(
            validate_default=True,
            description="32 bytes, base64: wraps the keys kept in the database; needed with ATRIUM_DATABASE_URL",
        ),
    ] = None
    other_master_keys: Annotated[
        tuple[SecretStr, ...],
        NoDecode,  # decoded below, so that what is wrong with it is named beside everything else
        Field(description="JSON list: the next master key, or the one before, while the master key is replaced"),
    ] = ()

    trusted_proxies: Annotated[
        tuple[IPvAnyNetwork, ...],
        NoDecode,  # decoded below, so that what is wrong with it is named beside everything else
        Field(
            description='JSON list of the proxies\' networks, such as ["10.0.0.0/8"]: from them `x-forwarded-for` is '
            "believed, and of its addresses the last that is none of theirs counts as the client's; unset: from nobody"
        ),
    ] = ()

    max_message_bytes: Annotated[int, Field(ge=65_536, le=268_435_456, description="largest request")] = 4_194_304
    max_document_bytes: Annotated[int, Field(ge=65_536, le=1_073_741_824, description="largest document")] = 67_108_864
    max_metadata_bytes: Annotated[int, Field(ge=4_096, le=65_536, description="largest request metadata")] = 16_384
    max_streams_per_connection: Annotated[int, Field(ge=1, le=10_000, description="calls at once on a connection")] = (
        100
    )
    max_in_flight: Annotated[int, Field(ge=1, le=100_000, description="calls at once in one process")] = 2_000
    ceiling_seconds: Annotated[
        float, Field(gt=0, le=3_600, description="longest a call may run where its method names no ceiling")
    ] = 30.0

    token_issuer: Annotated[str, Field(min_length=1, description="`iss` of access tokens")] = "atrium"
    token_audience: Annotated[str, Field(min_length=1, description="`aud` of access tokens")] = "atrium"
    access_token_minutes: Annotated[int, Field(ge=1, le=60, description="life of an access token")] = 15
    signing_key_days: Annotated[int, Field(ge=1, le=3650, description="age at which the signing key is replaced")] = 90
    refresh_token_days: Annotated[int, Field(ge=1, le=365, description="life of a session without use")] = 30

    openai_api_key: Annotated[SecretStr | None, Field(description="key of the models of provider openai")] = None
    anthropic_api_key: Annotated[SecretStr | None, Field(description="key of the models of provider anthropic")] = None
    provider_keys: Annotated[
        dict[str, SecretStr],
        NoDecode,  # as above
        Field(description='JSON object: base URL of an OpenAI-compatible endpoint -> its key ("" for none)'),
    ] = Field(default_factory=dict)

    reservation_seconds: Annotated[
        float,
        Field(ge=1, le=3_600, description="how long what a dead server's calls held of limits on models stays held"),
    ] = 60.0

    private_model_addresses: Annotated[
        bool,
        Field(
            description="call tenants' own models, and fetch documents, at addresses of this machine and of private "
            "networks too; without it no tenant can reach into the server's network"
        ),
    ] = False

    smtp_url: Annotated[
        SecretStr | None,
        Field(
            description="where mail goes out: smtp://user:password@host:port, or smtps:// for TLS from the first byte; "
            "unset: onto the log in development, and nowhere in production"
        ),
    ] = None
    mail_from: Annotated[
        str | None,
        Field(validate_default=True, description="whom mail is from: an address, or `Name <address>`"),
    ] = None

    log_level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="least level logged")] = "info"
    log_format: Annotated[Literal["json", "console"], Field(description="how log lines are written")] = "json"

    @field_validator("address", "health_address", "metrics_address")
    @classmethod
    def _port_exists(cls, value: str | None) -> str | None:
        if value is not None and int(value.rpartition(":")[2]) > HIGHEST_PORT:
            raise ValueError(f"a port is at most {HIGHEST_PORT}")
        return value

    @field_validator("health_address")
    @classmethod
    def _port_is_known(cls, value: str | None) -> str | None:
        if value is not None and int(value.rpartition(":")[2]) == 0:
            raise ValueError("must name its port: no probe would find another")
        return value

    # Validators run in the order of the fields, and one that belongs with an earlier field asks for it: so each setting
    # is complained of by itself, whatever else is wrong.

    @field_validator("tls_certificate_file", "tls_private_key_file", "tls_client_ca_file")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None and not (value.is_file() and os.access(value, os.R_OK)):
            raise ValueError(f"cannot read {value}")
        return value

    @field_validator("tls_private_key_file")
    @classmethod
    def _of_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if "tls_certificate_file" in info.data and (info.data["tls_certificate_file"] is None) != (value is None):
            raise ValueError("goes together with ATRIUM_TLS_CERTIFICATE_FILE: set both or none")
        if value is not None and (certificate := info.data.get("tls_certificate_file")) is not None:
            try:
                # No password is asked for: an encrypted key is none that a server can start with by itself.
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, value, password="")
            except (ssl.SSLError, ValueError):
                raise ValueError(f"{value} and {certificate} are not a certificate and its key, in PEM") from None
        return value

    @field_validator("tls_client_ca_file")
    @classmethod
    def _beside_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("tls_certificate_file", value) is None:
            raise ValueError("needs ATRIUM_TLS_CERTIFICATE_FILE")
        if value is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(value)
            except ssl.SSLError:
                raise ValueError(f"{value} holds no certificate in PEM") from None
        return value

    @field_validator("database_url", "admin_database_url", "listen_database_url")
    @classmethod
    def _database(cls, value: str | None) -> str | None:
        if value is not None:
            check_database_url(value)
        return value

    @field_validator("master_key")
    @classmethod
    def _thirty_two_bytes(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None:
            if info.data.get("database_url", "a wrong one") is not None:
                raise ValueError(
                    "is needed with ATRIUM_DATABASE_URL: 32 bytes in base64, such as "
                    "`head -c 32 /dev/urandom | base64` gives; every process on that database takes the same"
                )
            return None
        return _checked_key(value)

    @field_validator("other_master_keys", mode="before")
    @classmethod
    def _json_list(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = _json(value)
        if not isinstance(found, list) or not all(isinstance(key, str) for key in found):
            raise ValueError('must be a JSON list of keys, such as ["key"]')
        return found

    @field_validator("other_master_keys")
    @classmethod
    def _each_thirty_two_bytes(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        return tuple(_checked_key(key) for key in value)

    @field_validator("provider_keys", mode="before")
    @classmethod
    def _json_object(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = _json(value)
        if not isinstance(found, dict) or not all(isinstance(key, str) for key in found.values()):
            raise ValueError('must be a JSON object of text, such as {"https://models.example/v1": "key"}')
        return found

    @field_validator("provider_keys")
    @classmethod
    def _each_of_an_endpoint(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for url in value:
            try:
                check_endpoint_url(url)
            except ValueError as error:  # which one is not said: it may be a key in the place of its address
                raise ValueError(f"has a base URL that is none: each {error}") from None
        return value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            found = orjson.loads(value)
            if not isinstance(found, list) or not all(isinstance(network, str) for network in found):
                raise ValueError
            return tuple(ip_network(network) for network in found)
        except ValueError:
            raise ValueError('must be a JSON list of networks, such as ["10.0.0.0/8", "2001:db8::/32"]') from None

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_mail_url(value.get_secret_value())
        return value

    @field_validator("mail_from")
    @classmethod
    def _sender(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            if info.data.get("smtp_url", "a wrong one") is not None:
                raise ValueError("is needed with ATRIUM_SMTP_URL: whom mail is from")
            return None
        message = EmailMessage()
        message["From"] = value  # refuses a line break
        parsed = message["From"]
        if parsed.defects or len(parsed.addresses) != 1 or not parsed.addresses[0].domain:
            raise ValueError("must be one address, such as `Atrium <no-reply@atrium.example>`")
        return value

    @property
    def serves_reflection(self) -> bool:
        return self.environment == "development" if self.reflection is None else self.reflection

    @property
    def access_life(self) -> timedelta:
        """How long an access token is good for."""
        return timedelta(minutes=self.access_token_minutes)

    @cached_property
    def master_keys(self) -> MasterKeys:
        """What every key in the database is kept under."""
        return MasterKeys(self.master_key_bytes, [read_key(key.get_secret_value()) for key in self.other_master_keys])

    @cached_property
    def master_key_bytes(self) -> bytes:
        """The master key: the given one, or for the embedded database one made at first use and kept beside it."""
        if self.master_key is not None:
            return read_key(self.master_key.get_secret_value())
        path = self.data_dir / "master.key"
        try:
            return kept_key(path)
        except ValueError:
            raise SettingsError(
                f"ATRIUM_DATA_DIR: {path} holds no master key: put back the one of the database that lies beside it"
            ) from None


def _json(value: str) -> object:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _checked_key(value: SecretStr) -> SecretStr:
    read_key(value.get_secret_value())
    return value


def load_settings(**overrides: object) -> Settings:
    """The settings from the environment, with what the command line overrides.

    Raises SettingsError, whose message has a line for every wrong value and for every unknown `ATRIUM_` variable.
    """
    given = [name for name in os.environ if name.startswith("ATRIUM_")]
    known = {f"ATRIUM_{name.upper()}" for name in Settings.model_fields}
    problems = [f"{name}: is not a setting" for name in sorted({*given} - known - _service_links(given))]
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            name = str(problem["loc"][0]).upper()
            problems.append(f"ATRIUM_{name}: {problem['msg'].removeprefix('Value error, ')}")
        raise SettingsError("\n".join(problems)) from None
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _service_links(names: Collection[str]) -> set[str]:
    """Those of the variables that Kubernetes makes for a Service: they come together, with its host and its port."""
    services = [
        host.removesuffix("_SERVICE_HOST")
        for host in names
        if host.endswith("_SERVICE_HOST") and f"{host.removesuffix('_SERVICE_HOST')}_SERVICE_PORT" in names
    ]
    return {
        name
        for service in services
        for name in names
        if name.startswith(service) and _SERVICE_LINK.fullmatch(name.removeprefix(service))
    }
