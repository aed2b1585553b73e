"""Settings that name files: certificates, their keys, and the master key of the embedded database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.settings import SettingsError
from tests.factories.certificates import authority, signed_by
from tests.unit.settings.reading import KEY, complaints_of, load


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
    assert complaints_of(environment, **{name: files[name] for name in given}).keys() == wrong


def test_tls_is_set_by_files(environment: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    settings = load(environment, **files)

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

    assert complaints_of(environment, **files).keys() == wrong


def test_a_certificates_key_is_its_own(environment: pytest.MonkeyPatch, files: dict[str, str], tmp_path: Path) -> None:
    another = authority(tmp_path, "another")

    complaints = complaints_of(environment, **files | {"TLS_PRIVATE_KEY_FILE": str(another.key_file)})

    assert complaints.keys() == {"TLS_PRIVATE_KEY_FILE"}


def test_a_folder_is_no_certificate(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    complaints = complaints_of(
        environment, TLS_CERTIFICATE_FILE=str(tmp_path), TLS_PRIVATE_KEY_FILE=str(tmp_path / "absent.pem")
    )

    assert complaints.keys() == {"TLS_CERTIFICATE_FILE", "TLS_PRIVATE_KEY_FILE"}
    assert str(tmp_path) in complaints["TLS_CERTIFICATE_FILE"]


def test_the_embedded_databases_master_key_is_made_once_for_its_owner_alone(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "new"

    first = load(environment, DATA_DIR=str(folder)).master_key_bytes
    second = load(environment, DATA_DIR=str(folder)).master_key_bytes

    assert (len(first), first) == (32, second)
    assert (folder / "master.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["master.key"]


def test_of_many_that_make_the_master_key_at_once_all_have_the_same(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    everyone = [load(environment, DATA_DIR=str(tmp_path / "new")) for _ in range(16)]

    with ThreadPoolExecutor(len(everyone)) as pool:
        keys = list(pool.map(lambda settings: settings.master_key_bytes, everyone))

    assert len(set(keys)) == 1


@pytest.mark.parametrize("found", ["", "short", KEY[:-4], "é"])
def test_a_file_that_holds_no_master_key_is_named_and_left_alone(
    environment: pytest.MonkeyPatch, tmp_path: Path, found: str
) -> None:
    (tmp_path / "master.key").write_text(found)

    with pytest.raises(SettingsError, match=f"ATRIUM_DATA_DIR: {tmp_path / 'master.key'} holds no master key"):
        _ = load(environment, DATA_DIR=str(tmp_path)).master_key_bytes
    assert (tmp_path / "master.key").read_text() == found
