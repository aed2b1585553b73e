"""What the README shows, as its reader runs it."""

from __future__ import annotations

import asyncio
import os
import re
import sys

import pytest

from tests.databases import Scratch
from tests.processes import BOUND_SECONDS, ROOT, atrium, environment

pytestmark = pytest.mark.xdist_group("local-model")


async def test_its_program_signs_in_and_streams_an_answer(scratch: Scratch) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    async with atrium(environment(scratch)) as server:
        _, password = await server.administrator()
        address = f"127.0.0.1:{await server.port()}"
        client = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program.replace("127.0.0.1:50051", address).replace("…", password),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT / "generated")},
        )
        async with asyncio.timeout(BOUND_SECONDS):
            answer, errors = await client.communicate()

    assert (client.returncode, answer.strip() != b"") == (0, True), errors.decode()
