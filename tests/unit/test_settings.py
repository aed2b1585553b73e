"""The settings from the environment: what is wrong with them is said once, completely, and without a secret in it."""

from __future__ import annotations

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path

import pytest

from server.settings import Settings, SettingsError, load_settings
from tests.factories.certificates import authority, signed_by

KEY = base64.b64encode(bytes(range(32))).decode()
URL = "postgresql://atrium_app@db.example/atrium"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without a setting in it."""
    for name in [name for name in os.environ if name.startswith("ATRIUM_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def _load(environment: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        environment.setenv(f"ATRIUM_{name}", value)
    return load_settings()


def _complaints(environment: pytest.MonkeyPatch, **variables: str) -> dict[str, str]:
    """What is said of each variable."""
    with pytest.raises(SettingsError) as refused:
        _load(environment, **variables)
    lines = [line.split(": ", 1) for line in str(refused.value).splitlines()]
    assert len({name for name, _ in lines}) == len(lines)
    return {name.removeprefix("ATRIUM_"): text for name, text in lines}


def test_nothing_need_be_set(environment: pytest.MonkeyPatch) -> None:
    settings = _load(environment)

    assert (settings.address, settings.processes, settings.database_url) == ("127.0.0.1:50051", 1, None)
    assert settings.serves_reflection


def test_proxies_are_trusted_by_their_networks(environment: pytest.MonkeyPatch) -> None:
    settings = _load(environment, TRUSTED_PROXIES='["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]')

    assert settings.trusted_proxies == tuple(map(ip_network, ("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32")))


def test_values_are_read_by_their_names(environment: pytest.MonkeyPatch) -> None:
    settings = _load(
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
    settings = _load(environment, DATABASE_URL="", PROCESSES="", OPENAI_API_KEY="", PROVIDER_KEYS="")

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

    assert _load(environment, **variables).serves_reflection is served


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

    complaints = _complaints(environment, **others, **{name: value})

    assert complaints.keys() == {name}
    assert complaints[name]


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "postgres:///atrium",
        "postgresql://db.example",
        "postgresql://atrium_app:pass%40word@db.example:5432/atrium?sslmode=require&application_name=",
        "postgresql://atrium_app@10.0.0.1:5432,db.example,[2001:db8::1]:6432,[::1]/atrium",
        "postgresql://atrium_app@%2Frun%2Fpostgresql/atrium",
        "postgresql://postgres:@/atrium?host=/run/postgresql&port=5433",
        "postgresql:///atrium?host=10.0.0.1:5432,db.example",
    ],
)
def test_a_database_is_named_as_postgresql_names_it(environment: pytest.MonkeyPatch, url: str) -> None:
    settings = _load(environment, DATABASE_URL=url, ADMIN_DATABASE_URL=url, LISTEN_DATABASE_URL=url, MASTER_KEY=KEY)

    assert {settings.database_url, settings.admin_database_url, settings.listen_database_url} == {url}


def test_every_wrong_value_and_every_unknown_variable_is_named_in_one_message(environment: pytest.MonkeyPatch) -> None:
    complaints = _complaints(
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
    assert _complaints(environment, DATABASE_URI=URL) == {"DATABASE_URI": "is not a setting"}


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

    assert _load(environment, **links, PROCESSES="2").processes == 2
    assert _complaints(environment, SERVICE="atrium", PORT_NUMBER="50051").keys() == {"SERVICE", "PORT_NUMBER"}


@pytest.mark.parametrize("name", [*_SERVICE_LINKS, "DATABASE_PORT"])
def test_one_such_variable_without_the_others_is_a_mistake(environment: pytest.MonkeyPatch, name: str) -> None:
    assert _complaints(environment, **{name: "50051"}) == {name: "is not a setting"}


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
    assert "s3cret" not in str(_complaints(environment, **{name: value}))
    environment.delenv(f"ATRIUM_{name}")
    settings = _load(environment, OPENAI_API_KEY="s3cret", PROVIDER_KEYS='{"http://a/v1": "s3cret"}')
    assert "s3cret" not in repr(settings)


def test_a_database_of_ones_own_needs_a_master_key(environment: pytest.MonkeyPatch) -> None:
    complaints = _complaints(environment, DATABASE_URL=URL)

    assert "ATRIUM_DATABASE_URL" in complaints["MASTER_KEY"]
    assert _load(environment, MASTER_KEY=KEY).database_url == URL


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Settings for mutual TLS."""
    root = authority(tmp_path, "root")
    own = signed_by(root, tmp_path, "server")
    return {
        "TLS_CERTIFICATE_FILE": str(own.certificate_file),
        "TLS_PRIVATE_KEY_FILE": str(own.key_file),
        "TLS_CLIENT_CA_FILE": str(root.certificate_file),
    }


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (["TLS_CERTIFICATE_FILE"], {"TLS_PRIVATE_KEY_FILE"}),
        (["TLS_PRIVATE_KEY_FILE"], {"TLS_PRIVATE_KEY_FILE"}),
        (["TLS_CLIENT_CA_FILE"], {"TLS_CLIENT_CA_FILE"}),
        (["TLS_CERTIFICATE_FILE", "TLS_CLIENT_CA_FILE"], {"TLS_PRIVATE_KEY_FILE"}),
    ],
)
def test_a_certificate_and_its_key_go_together(
    environment: pytest.MonkeyPatch, files: dict[str, str], given: list[str], wrong: set[str]
) -> None:
    assert _complaints(environment, **{name: files[name] for name in given}).keys() == wrong


def test_tls_is_set_by_files(environment: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    settings = _load(environment, **files)

    assert str(settings.tls_client_ca_file) == files["TLS_CLIENT_CA_FILE"]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("TLS_CERTIFICATE_FILE", {"TLS_PRIVATE_KEY_FILE"}),
        ("TLS_PRIVATE_KEY_FILE", {"TLS_PRIVATE_KEY_FILE"}),
        ("TLS_CLIENT_CA_FILE", {"TLS_CLIENT_CA_FILE"}),
    ],
)
@pytest.mark.parametrize("content", ["", "rubbish", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"])
def test_a_file_that_holds_something_else_is_named(
    environment: pytest.MonkeyPatch, files: dict[str, str], name: str, wrong: set[str], content: str
) -> None:
    Path(files[name]).write_text(content)

    assert _complaints(environment, **files).keys() == wrong


def test_a_certificates_key_is_its_own(environment: pytest.MonkeyPatch, files: dict[str, str], tmp_path: Path) -> None:
    another = authority(tmp_path, "another")

    complaints = _complaints(environment, **files | {"TLS_PRIVATE_KEY_FILE": str(another.key_file)})

    assert complaints.keys() == {"TLS_PRIVATE_KEY_FILE"}


def test_a_folder_is_no_certificate(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    complaints = _complaints(
        environment, TLS_CERTIFICATE_FILE=str(tmp_path), TLS_PRIVATE_KEY_FILE=str(tmp_path / "absent.pem")
    )

    assert complaints.keys() == {"TLS_CERTIFICATE_FILE", "TLS_PRIVATE_KEY_FILE"}
    assert str(tmp_path) in complaints["TLS_CERTIFICATE_FILE"]


def test_the_embedded_databases_master_key_is_made_once_for_its_owner_alone(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "new"

    first = _load(environment, DATA_DIR=str(folder)).master_key_bytes
    second = _load(environment, DATA_DIR=str(folder)).master_key_bytes

    assert (len(first), first) == (32, second)
    assert (folder / "master.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["master.key"]


def test_of_many_that_make_the_master_key_at_once_all_have_the_same(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    everyone = [_load(environment, DATA_DIR=str(tmp_path / "new")) for _ in range(16)]

    with ThreadPoolExecutor(len(everyone)) as pool:
        keys = list(pool.map(lambda settings: settings.master_key_bytes, everyone))

    assert len(set(keys)) == 1


@pytest.mark.parametrize("found", ["", "short", KEY[:-4], "é"])
def test_a_file_that_holds_no_master_key_is_named_and_left_alone(
    environment: pytest.MonkeyPatch, tmp_path: Path, found: str
) -> None:
    (tmp_path / "master.key").write_text(found)

    with pytest.raises(SettingsError, match=f"ATRIUM_DATA_DIR: {tmp_path / 'master.key'} holds no master key"):
        _ = _load(environment, DATA_DIR=str(tmp_path)).master_key_bytes
    assert (tmp_path / "master.key").read_text() == found


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
    complaints = _complaints(environment, SMTP_URL=url, MAIL_FROM="Atrium <no-reply@atrium.example>")

    assert complaints.keys() == {"SMTP_URL"}
    assert "mail.example" not in complaints["SMTP_URL"]


def test_mail_over_smtp_needs_a_sender(environment: pytest.MonkeyPatch) -> None:
    complaints = _complaints(environment, SMTP_URL="smtps://user:pass%40word@mail.example:465")

    assert complaints.keys() == {"MAIL_FROM"}
