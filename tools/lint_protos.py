"""Holds the protos to buf's rules, offline: `python tools/lint_protos.py [--against REVISION]`.

- `buf format`: the common form.
- `buf lint`: the rules of `buf.yaml`.
- `buf breaking`: nothing that a client of the previous version relies on has gone. The previous version is what the
  branch `main` holds, and on `main` itself the commit before; where there is none, this step says that it is skipped.

To compile the protos, buf would fetch `buf/validate/validate.proto` from its registry; it is given images that protoc
made instead. Exits with 1 if a rule is broken.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import protos

BUF = shutil.which("buf", path=str(Path(sys.executable).parent)) or "buf"
CONFIG = protos.ROOT / "buf.yaml"


def buf(*arguments: str | Path) -> bool:
    """Runs buf, which prints what it finds; True if it finds nothing."""
    return subprocess.run([BUF, *arguments], cwd=protos.ROOT, check=False).returncode == 0  # noqa: S603


def git(*arguments: str) -> bytes | None:
    """What git prints; None if it fails, or there is no git here."""
    try:
        done = subprocess.run(["git", *arguments], cwd=protos.ROOT, capture_output=True, check=False)  # noqa: S603, S607
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def previous() -> str | None:
    """The revision that holds the previous version; None if there is none."""
    head, main = (git("rev-parse", "--verify", "--quiet", revision) for revision in ("HEAD", "main"))
    return "main" if main and main != head else "HEAD^" if git("rev-parse", "--verify", "--quiet", "HEAD^") else None


def image_of(revision: str) -> bytes | None:
    """The image of the protos as they were at `revision`; None if it has none."""
    archive = git("archive", revision, "proto")
    if archive is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(scratch, filter="data")
        return protos.image(Path(scratch, "proto"))


def check(against: str | None) -> bool:
    """Runs every step, also after one has failed; True if all hold."""
    with tempfile.TemporaryDirectory() as scratch:
        now = Path(scratch, "now.binpb")
        now.write_bytes(protos.image())
        good = [
            buf("format", "--diff", "--exit-code", protos.PROTO),
            buf("lint", now, "--config", CONFIG),
        ]
        if against is None or (image := image_of(against)) is None:
            print("buf breaking: skipped, no previous version of the protos to compare with")
        else:
            before = Path(scratch, "before.binpb")
            before.write_bytes(image)
            good.append(buf("breaking", now, "--against", before, "--config", CONFIG))
    return all(good)


def main() -> None:
    match sys.argv[1:]:
        case []:
            against = previous()
        case ["--against", revision]:
            against = revision
        case _:
            sys.exit(__doc__)
    if not check(against):
        sys.exit(1)


if __name__ == "__main__":
    main()
