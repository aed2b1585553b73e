"""LiteLLM's proxy, another gateway that speaks OpenAI's protocol: in an environment of its own, as fast as it goes."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep

OUT = Path(__file__).parent / "out"
_HOME = OUT / "litellm"
_PROGRAM = _HOME / "bin" / "litellm"
_WANTED = "litellm[proxy]<=1.109.1"  # the newest whose requirements can all be had
_INSTALL_SECONDS = 600
_START_SECONDS = 120.0

# Neither a database nor a line a call in its log; its prices are its own and not fetched.
_QUIET = {
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "NO_PROXY": "127.0.0.1",
}


class Missing(Exception):
    """It could not be installed, or did not start; why."""


@dataclass(frozen=True)
class Proxy:
    """It, as it runs."""

    base_url: str
    key: str
    pid: int
    version: str


@contextmanager
def proxy(provider: str, models: Sequence[str]) -> Iterator[Proxy]:
    """Serves these models of the provider for as long as the context lasts. Raises Missing."""
    version = _installed()
    listed = [
        {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_base": provider, "api_key": "none"}}
        for name in models
    ]
    with tempfile.TemporaryDirectory(prefix="atrium-bench-") as directory, (OUT / "litellm.log").open("wb") as log:
        config = Path(directory) / "config.yaml"
        config.write_text(json.dumps({"model_list": listed, "litellm_settings": {"telemetry": False}}))
        port = _free_port()
        command = [str(_PROGRAM), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        key = f"sk-{secrets.token_hex(32)}"  # it does not start without one
        environment = {**os.environ, **_QUIET, "LITELLM_MASTER_KEY": key}
        # Connections are kept over the slices in which others are measured.
        command += ["--num_workers", "1", "--keepalive_timeout", "600"]
        child = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(child, port)
            yield Proxy(f"http://127.0.0.1:{port}/v1", key, child.pid, version)
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _installed() -> str:
    """Its version, after it was installed where it is not there yet."""
    python = _HOME / "bin" / "python"
    try:
        if not _PROGRAM.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(_HOME)], check=True, capture_output=True)
            install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _WANTED]
            subprocess.run(install, check=True, capture_output=True, timeout=_INSTALL_SECONDS)
        ask = "from importlib.metadata import version; print(version('litellm'))"
        return subprocess.run([str(python), "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or str(error).encode()
        lines = told.decode(errors="replace").strip().splitlines()
        raise Missing(f"it cannot be installed: {lines[-1] if lines else type(error).__name__}") from None


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _wait(child: subprocess.Popen[bytes], port: int) -> None:
    """Until it says that it is ready."""
    end = monotonic() + _START_SECONDS
    while monotonic() < end and child.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health/readiness")
            if connection.getresponse().status == 200:
                return
        except OSError:
            sleep(0.2)
        finally:
            connection.close()
    raise Missing("it did not start: bench/out/litellm.log says why")
