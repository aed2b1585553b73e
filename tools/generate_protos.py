"""Makes the Python stubs in `generated/` from `proto/`: `python tools/generate_protos.py [--check]`.

The same protos and the same locked packages give the same bytes on every machine. With `--check` nothing is written,
and the exit code is 1 if `generated/` is not what the protos make.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import protos

GENERATED = protos.ROOT / "generated"


def generate(target: Path) -> None:
    """Writes messages, their types and service stubs of every proto into the folder `target`."""
    names = protos.sources()
    protos.run_protoc([protos.VALIDATE, *names], f"--python_out={target}", f"--pyi_out={target}")
    services = [name for name in names if name.endswith("_service.proto")]
    protos.run_protoc(services, f"--grpc_python_out={target}")


def stale() -> list[str]:
    """The files in `generated/` that are missing, superfluous, or other than the protos make them."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        names = sorted({*_files(fresh), *_files(GENERATED)})
        return [name for name in names if _content(fresh / name) != _content(GENERATED / name)]


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*_pb2*.py*"):
        if "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix()


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def main() -> None:
    if sys.argv[1:] == ["--check"]:
        if names := stale():
            sys.exit("\n".join(["Not what the protos make (run `make protos`):", *(f"  {name}" for name in names)]))
        return
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir()
    generate(GENERATED)


if __name__ == "__main__":
    main()
