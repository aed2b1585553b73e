"""OpenMP's runtime out of a wheel. In a process of its own: this one may have the system's."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from server.embedded.chat import NAME

pytestmark = pytest.mark.xdist_group("local-model")

_SCRIPT = f"""
import asyncio, json, pathlib
from server.embedded import chat, openmp
from server.llm.port import ChatRequest, Message

async def answered():
    model = chat.LocalChat()
    request = ChatRequest(model={NAME!r}, messages=[Message("user", "Say hello.")], max_tokens=4, temperature=0)
    text = "".join([chunk.text async for batch in model.stream(request) for chunk in batch])
    await model.close()
    return text

openmp.load_bundled()
text = asyncio.run(answered())
maps = pathlib.Path("/proc/self/maps").read_text().splitlines()
print(json.dumps([text, sorted({{line.split()[5] for line in maps if "gomp" in line}})]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the local model's wheel needs no such library")
def test_the_local_model_answers_on_the_bundled_runtime_alone() -> None:
    ran = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=120, check=True)

    text, runtimes = json.loads(ran.stdout)
    assert text.strip()
    assert runtimes == ["/memfd:libgomp.so.1"]
