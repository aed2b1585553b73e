"""Logs and metrics: how they are set up, and nothing of what they say."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import structlog
from prometheus_client import CollectorRegistry, start_http_server

from server.settings import Settings, SettingsError


def configure_logging(settings: Settings) -> None:
    """Sends every log line, ours and the libraries', to standard error in the chosen format, above the chosen level."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    console = settings.log_format == "console"
    renderer: Any = _console_renderer() if console else _json
    sink: Any = _Unfailing(sys.stderr if console else sys.stderr.buffer)
    structlog.configure(
        processors=[_complete, renderer],
        wrapper_class=_logger_class(level),
        logger_factory=structlog.WriteLoggerFactory(sink) if console else structlog.BytesLoggerFactory(sink),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_complete],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _as_text(renderer)],
        )
    )
    # Libraries speak at their own length; what they say below a warning is for debugging them.
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


class _Unfailing:
    """A file that takes what it can. A disk that is full and a reader that has left are no reasons for a call to fail,
    which may have done its work by then.
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: Any) -> None:
        with suppress(OSError):
            self._file.write(data)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()


def _logger_class(level: int) -> type[Any]:
    """structlog's own, with a shorter way for what every call does: to write one line of what it is given."""
    usual: Any = structlog.make_filtering_bound_logger(level)
    if level > logging.INFO:
        return usual  # type: ignore[no-any-return]

    class Logger(usual):  # type: ignore[misc]
        def info(self, event: str, **fields: Any) -> None:
            fields["event"] = event
            if self._context:
                fields = {**self._context, **fields}
            line: Any = fields
            for processor in self._processors:
                line = processor(self._logger, "info", line)
            self._logger.info(line)

    return Logger


def _complete(logger: Any, level: str, event: Any) -> Any:
    """With the level, the moment and the trace of an exception: one step, since every call is a line of the log."""
    event["level"] = level
    event["timestamp"] = datetime.now(UTC)
    return structlog.processors.format_exc_info(logger, level, event) if "exc_info" in event else event


def _json(_logger: Any, _name: str, event: Any) -> bytes:
    """Moments and ids as they are: orjson writes them, at a fifth of what making texts of them costs."""
    return orjson.dumps(event, default=str, option=orjson.OPT_UTC_Z)


def _console_renderer() -> Any:
    render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())

    def as_texts(logger: Any, name: str, event: Any) -> Any:
        texts = {key: str(value) if isinstance(value, UUID | datetime) else value for key, value in event.items()}
        return render(logger, name, texts)

    return as_texts


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
