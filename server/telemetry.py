"""Logs and metrics: how they are set up, and nothing of what they say."""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog
from prometheus_client import CollectorRegistry, start_http_server

from server.settings import Settings, SettingsError


def configure_logging(settings: Settings) -> None:
    """Sends every log line, ours and the libraries', to standard error in the chosen format, above the chosen level."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    console = settings.log_format == "console"
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer(serializer=orjson.dumps, default=str)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr)
        if console
        else structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _as_text(renderer)],
        )
    )
    # Libraries speak at their own length; what they say below a warning is for debugging them.
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def _as_text(renderer: Any) -> Any:
    def render(logger: Any, name: str, event: Any) -> str:
        line = renderer(logger, name, event)
        return line.decode() if isinstance(line, bytes) else str(line)

    return render


def serve_metrics(registry: CollectorRegistry, settings: Settings, process: int) -> None:
    """Serves this process's metrics over HTTP, where an address is set; process n takes the n-th port from there.

    Raises SettingsError where that port cannot be listened on.
    """
    if settings.metrics_address is None:
        return
    host, _, port = settings.metrics_address.rpartition(":")
    try:
        start_http_server(int(port) + process, addr=host.strip("[]"), registry=registry)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "there is no such port"
        raise SettingsError(
            f"ATRIUM_METRICS_ADDRESS: cannot listen on {host}:{int(port) + process}: {reason}"
        ) from None
