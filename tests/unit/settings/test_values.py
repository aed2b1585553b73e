"""The settings from the environment: what is wrong with them is said once, completely, and without a secret in it."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from tests.unit.settings.reading import KEY, URL, complaints_of, load


def test_nothing_need_be_set(environment: pytest.MonkeyPatch) -> None:
    settings = load(environment)

    assert (settings.address, settings.processes, settings.database_url) == ("127.0.0.1:50051", 1, None)
    assert settings.serves_reflection


def test_proxies_are_trusted_by_their_networks(environment: pytest.MonkeyPatch) -> None:
    settings = load(environment, TRUSTED_PROXIES='["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]')

    assert settings.trusted_proxies == tuple(map(ip_network, ("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32")))


def test_values_are_read_by_their_names(environment: pytest.MonkeyPatch) -> None:
    settings = load(
        environment,
        ADDRESS="[::]:0",
        PROCESSES="4",
        DATABASE_URL=URL,
        MASTER_KEY=KEY,
        REFLECTION="false",
        PROVIDER_KEYS='{"http://127.0.0.1:1/v1": "", "https://models.example/v1": "s3cret"}',
    )

    assert (settings.address, settings.processes, settings.database_url) == ("[::]:0", 4, URL)
    assert settings.master_key_bytes == bytes(range(32))
    assert {url: key.get_secret_value() for url, key in settings.provider_keys.items()} == {
        "http://127.0.0.1:1/v1": "",
        "https://models.example/v1": "s3cret",
    }


def test_a_variable_that_is_empty_is_not_set(environment: pytest.MonkeyPatch) -> None:
    settings = load(environment, DATABASE_URL="", PROCESSES="", OPENAI_API_KEY="", PROVIDER_KEYS="")

    assert (settings.database_url, settings.processes, settings.openai_api_key) == (None, 1, None)


@pytest.mark.parametrize(
    ("environment_name", "asked", "served"),
    [
        ("development", None, True),
        ("production", None, False),
        ("production", "true", True),
        ("development", "0", False),
    ],
)
def test_reflection_is_off_in_production_unless_asked_for(
    environment: pytest.MonkeyPatch, environment_name: str, asked: str | None, served: bool
) -> None:
    variables = {"ENVIRONMENT": environment_name} | ({"REFLECTION": asked} if asked else {})

    assert load(environment, **variables).serves_reflection is served


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVIRONMENT", "staging"),
        ("ADDRESS", "localhost"),
        ("ADDRESS", ":"),
        ("ADDRESS", "127.0.0.1:"),
        ("ADDRESS", "127.0.0.1:port"),
        ("ADDRESS", "127.0.0.1:65536"),
        ("ADDRESS", "127.0.0.1:50051\nx"),
        ("METRICS_ADDRESS", "127.0.0.1:99999"),
        ("METRICS_ADDRESS", "9090"),
        ("HEALTH_ADDRESS", "50052"),
        ("HEALTH_ADDRESS", "127.0.0.1:0"),
        ("HEALTH_ADDRESS", "127.0.0.1:99999"),
        ("PROCESSES", "0"),
        ("PROCESSES", "65"),
        ("PROCESSES", "two"),
        ("PROCESSES", "1.5"),
        ("GRACE_SECONDS", "0"),
        ("GRACE_SECONDS", "nan"),
        ("GRACE_SECONDS", "inf"),
        ("REFLECTION", "perhaps"),
        *[
            (f"{role}DATABASE_URL", value)
            for role in ("", "ADMIN_", "LISTEN_")
            for value in (
                "nonsense",
                "db.example/atrium",
                "mysql://db.example/atrium",
                "postgresql://x@127.0.0.1:notaport/y",
                "postgresql://x@127.0.0.1:0/y",
                "postgresql://x@127.0.0.1:65536/y",
                "postgresql://x@127.0.0.1:1_0/y",
                "postgresql://x@127.0.0.1:5432,,127.0.0.1/y",
                "postgresql://x@127.0.0.1:5432,127.0.0.1:notaport/y",
                "postgresql://x@[::1/y",
                "postgresql://x@[::1]5432/y",
                "postgresql://x@::1/y",
                "postgresql://x@/y?host=127.0.0.1:notaport",
                "postgresql://x@/y?host=/run&port=notaport",
                "postgresql://x@127.0.0.1/y?sslmode",
                "postgresql://x@127.0.0.1/y\n",
            )
        ],
        ("POOL_SIZE", "0"),
        ("MASTER_KEY", "short"),
        ("MASTER_KEY", KEY[:-4]),
        ("MASTER_KEY", KEY[:-2] + "!="),
        ("MASTER_KEY", "é" * 44),
        ("MAX_MESSAGE_BYTES", "1"),
        ("MAX_METADATA_BYTES", "100"),
        ("MAX_STREAMS_PER_CONNECTION", "0"),
        ("MAX_IN_FLIGHT", "0"),
        ("CEILING_SECONDS", "-1"),
        ("CEILING_SECONDS", "nan"),
        ("ACCESS_TOKEN_MINUTES", "61"),
        ("REFRESH_TOKEN_DAYS", "0"),
        ("TRUSTED_PROXIES", "10.0.0.0/8"),
        ("TRUSTED_PROXIES", '"10.0.0.0/8"'),
        ("TRUSTED_PROXIES", "[10]"),
        ("TRUSTED_PROXIES", '["10.0.0.1/8"]'),
        ("TRUSTED_PROXIES", '["proxy.example", "other.example"]'),
        ("PROVIDER_KEYS", "{"),
        ("PROVIDER_KEYS", "[]"),
        ("PROVIDER_KEYS", '"text"'),
        ("PROVIDER_KEYS", '{"http://a/v1": 1}'),
        ("PROVIDER_KEYS", '{"http://a/v1": null}'),
        *[
            ("PROVIDER_KEYS", f'{{"http://a/v1": "", "{url}": ""}}')
            for url in (
                "",
                "not a url",
                "models.example/v1",
                "ftp://models.example/v1",
                "https://",
                "https:///v1",
                "https://models.example:port/v1",
                "https://models.example:0/v1",
                "https://models example/v1",
                "https://[models.example/v1",
                "https://models.example/v1?key=1",
                "https://models.example/v1#key",
            )
        ],
        ("OTHER_MASTER_KEYS", "notjson"),
        ("OTHER_MASTER_KEYS", KEY),
        ("OTHER_MASTER_KEYS", "{}"),
        ("OTHER_MASTER_KEYS", "[1, 2]"),
        ("OTHER_MASTER_KEYS", '["short", "shorter"]'),
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", "a@example.com, b@example.com"),
        ("MAIL_FROM", "a@example.com\nBcc: b@example.com"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("TLS_CLIENT_CA_FILE", "/nowhere/ca.pem"),
    ],
)
def test_a_wrong_value_is_named(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    # Whoever has a database of their own gives its key too.
    others = {"MASTER_KEY": KEY} if name == "DATABASE_URL" else {}

    complaints = complaints_of(environment, **others, **{name: value})

    assert complaints.keys() == {name}
    assert complaints[name]


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "postgres:///atrium",
        "postgresql://db.example",
        "postgresql://atrium_app:pass%40word@db.example:5432/atrium?sslmode=require&application_name=",
        "postgresql://atrium_app@10.0.0.1:5432,db.example:6432/atrium",
        "postgresql://atrium_app@[2001:db8::1]:6432/atrium",
        "postgresql:///atrium?host=10.0.0.1,[::1]:6432",
        "postgresql://atrium_app@%2Frun%2Fpostgresql/atrium",
        "postgresql://postgres:@/atrium?host=/run/postgresql&port=5433",
        "postgresql:///atrium?host=10.0.0.1:5432,db.example",
    ],
)
def test_a_database_is_named_as_postgresql_names_it(environment: pytest.MonkeyPatch, url: str) -> None:
    settings = load(environment, DATABASE_URL=url, ADMIN_DATABASE_URL=url, LISTEN_DATABASE_URL=url, MASTER_KEY=KEY)

    assert {settings.database_url, settings.admin_database_url, settings.listen_database_url} == {url}


def test_every_wrong_value_and_every_unknown_variable_is_named_in_one_message(environment: pytest.MonkeyPatch) -> None:
    complaints = complaints_of(
        environment,
        PROCESSES="none",
        LOG_LEVEL="loud",
        PROVIDER_KEYS="{",
        OTHER_MASTER_KEYS="notjson",
        DATABASE_URL="nonsense",
        ADMIN_DATABASE_URL="nonsense",
        LISTEN_DATABASE_URL="nonsense",
        SMTP_URL="nonsense",
        TLS_CERTIFICATE_FILE="/nowhere/cert.pem",
        PROCESES="2",
        SECRET="x",
    )

    assert complaints.keys() == {
        "PROCESSES",
        "LOG_LEVEL",
        "PROVIDER_KEYS",
        "OTHER_MASTER_KEYS",
        "DATABASE_URL",
        "ADMIN_DATABASE_URL",
        "LISTEN_DATABASE_URL",
        "MASTER_KEY",  # asked for by ATRIUM_DATABASE_URL, wrong as it is
        "SMTP_URL",
        "MAIL_FROM",  # likewise
        "TLS_CERTIFICATE_FILE",
        "PROCESES",
        "SECRET",
    }
    assert complaints["PROCESES"] == complaints["SECRET"] == "is not a setting"


def test_an_unknown_variable_alone_is_refused_too(environment: pytest.MonkeyPatch) -> None:
    assert complaints_of(environment, DATABASE_URI=URL) == {"DATABASE_URI": "is not a setting"}


_SERVICE_LINKS = {
    "SERVICE_HOST": "10.0.0.7",
    "SERVICE_PORT": "50051",
    "SERVICE_PORT_GRPC": "50051",
    "PORT": "tcp://10.0.0.7:50051",
    "PORT_50051_TCP": "tcp://10.0.0.7:50051",
    "PORT_50051_TCP_PROTO": "tcp",
    "PORT_50051_TCP_PORT": "50051",
    "PORT_50051_TCP_ADDR": "10.0.0.7",
}


@pytest.mark.parametrize("service", ["", "GRPC_"])
def test_what_kubernetes_says_of_a_service_named_atrium_is_passed_over(
    environment: pytest.MonkeyPatch, service: str
) -> None:
    links = {f"{service}{name}": value for name, value in _SERVICE_LINKS.items()}

    assert load(environment, **links, PROCESSES="2").processes == 2
    assert complaints_of(environment, SERVICE="atrium", PORT_NUMBER="50051").keys() == {"SERVICE", "PORT_NUMBER"}


@pytest.mark.parametrize("name", [*_SERVICE_LINKS, "DATABASE_PORT"])
def test_one_such_variable_without_the_others_is_a_mistake(environment: pytest.MonkeyPatch, name: str) -> None:
    assert complaints_of(environment, **{name: "50051"}) == {name: "is not a setting"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MASTER_KEY", "s3cret-s3cret"),
        ("OTHER_MASTER_KEYS", "s3cret"),
        ("OTHER_MASTER_KEYS", '["s3cret"]'),
        ("PROVIDER_KEYS", '{"http://a/v1": "s3cret"'),
        ("PROVIDER_KEYS", '{"http://a/v1": ["s3cret"]}'),
        ("PROVIDER_KEYS", '["s3cret"]'),
        ("PROVIDER_KEYS", '{"s3cret": "http://a/v1"}'),
        *[
            ("ADMIN_DATABASE_URL", f"postgresql://atrium:{password}@db.example/atrium")
            for password in ("s3cret/", "p@s3cret", "s3cret#", "12#s3cret", "s3cret?", "s3[cret", "s3cret ")
        ],
    ],
)
def test_no_message_repeats_a_secret(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert "s3cret" not in str(complaints_of(environment, **{name: value}))
    environment.delenv(f"ATRIUM_{name}")
    settings = load(environment, OPENAI_API_KEY="s3cret", PROVIDER_KEYS='{"http://a/v1": "s3cret"}')
    assert "s3cret" not in repr(settings)


def test_a_database_of_ones_own_needs_a_master_key(environment: pytest.MonkeyPatch) -> None:
    complaints = complaints_of(environment, DATABASE_URL=URL)

    assert "ATRIUM_DATABASE_URL" in complaints["MASTER_KEY"]
    assert load(environment, MASTER_KEY=KEY).database_url == URL


@pytest.mark.parametrize(
    "url",
    [
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://mail.example:port",
        "smtp://mail.example:0",
        "smtp://mail.example:65536",
        "smtp://user@mail.example",
        "smtp://mail.example/path",
        "smtps://mail.example?starttls=no",
    ],
)
def test_where_mail_goes_out_is_a_server_and_nothing_else(environment: pytest.MonkeyPatch, url: str) -> None:
    complaints = complaints_of(environment, SMTP_URL=url, MAIL_FROM="Atrium <no-reply@atrium.example>")

    assert complaints.keys() == {"SMTP_URL"}
    assert "mail.example" not in complaints["SMTP_URL"]


def test_mail_over_smtp_needs_a_sender(environment: pytest.MonkeyPatch) -> None:
    complaints = complaints_of(environment, SMTP_URL="smtps://user:pass%40word@mail.example:465")

    assert complaints.keys() == {"MAIL_FROM"}
