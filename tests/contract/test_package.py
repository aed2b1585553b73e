"""The package and the image hold what a server needs, and nothing that is nobody's business."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import protos
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tests.processes import ROOT, command

_BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
_START = """
import server.cli, server.model.store.ledger, server.db.migrate
print(server.__file__, server.db.migrate.head_revision())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what an installation of the package has."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    for name in ("server", "generated", "migrations"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    _run(source, _BUILD, str(folder))
    (wheel,) = folder.glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def _run(cwd: Path, program: str, *arguments: str, **variables: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env={**inherited, **variables},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wheel_holds_every_file_that_the_code_reads(installed: Path) -> None:
    needed = {
        path.relative_to(root)
        for root, folders in ((ROOT, ("server", "migrations")), (ROOT / "generated", ("atrium", "buf")))
        for folder in folders
        for path in (root / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyi"
    }

    assert {path for path in needed if not (installed / path).is_file()} == set()


def test_an_installed_package_finds_all_that_is_its_own(installed: Path, tmp_path: Path) -> None:
    found = _run(tmp_path, _START, PYTHONPATH=str(installed))

    assert found.startswith(str(installed))


async def test_the_descriptor_set_lacks_nothing() -> None:
    described = FileDescriptorSet.FromString((await command({}, "descriptors")).stdout_bytes)
    pool = descriptor_pool.DescriptorPool()

    for file in described.file:
        pool.Add(file)  # refuses one that comes before what it imports

    assert {*protos.sources()} - {file.name for file in described.file} == set()
    for beside in ("grpc_health/v1/health.proto", "google/rpc/error_details.proto"):
        assert pool.FindFileByName(beside).name == beside


def test_the_image_is_given_what_it_copies_and_nothing_else() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, flags=re.MULTILINE)
        for name in line.split()[:-1]
    }
    excluded, *given = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
    ]

    assert excluded == "*"
    assert {line.removeprefix("!") for line in given if line.startswith("!")} == copied
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_image_installs_nothing_whose_hash_is_not_pinned() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    installs = re.findall(r"pip install (.*)", dockerfile)

    assert installs
    assert [line for line in installs if "--require-hashes" not in line and "--no-index" not in line] == []


def test_what_makes_the_wheel_is_what_it_is_made_with_here() -> None:
    pinned = re.findall(r"^setuptools==\S+", (ROOT / "requirements-build.lock").read_text(), flags=re.MULTILINE)

    assert len(pinned) == 1
    assert pinned[0] in (ROOT / "requirements-dev.lock").read_text()


def test_the_images_data_folder_is_its_users_own() -> None:
    before_user, user, after = (ROOT / "Dockerfile").read_text().partition("\nUSER 10001\n")

    assert user
    assert "install --directory --owner=10001 --mode=0700 /var/lib/atrium/data" in before_user
    assert "VOLUME /var/lib/atrium/data" in after
