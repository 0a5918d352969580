"""Logs and metrics: stable names, no personal data. Log events are facts about messages, never their contents."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()


class Metrics:
    """All metric names in one place; durations are in seconds."""

    records = Counter("habeas_records_total", "Records taken from Kafka", ["topic", "type"], registry=REGISTRY)
    dead_letters = Counter("habeas_dead_letters_total", "Records refused", ["reason"], registry=REGISTRY)
    batches = Histogram(
        "habeas_batch_seconds",
        "From a batch's arrival until its effects are committed and sent",
        registry=REGISTRY,
        buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
    )
    batch_records = Histogram(
        "habeas_batch_records", "Records in a batch", registry=REGISTRY, buckets=(1, 5, 20, 50, 100, 250, 500, 1000)
    )
    retries = Counter("habeas_batch_retries_total", "Batches tried again after transient trouble", registry=REGISTRY)
    handler_failures = Counter(
        "habeas_handler_failures_total", "Records that no attempt could handle: alert on any", registry=REGISTRY
    )
    outbox_swept = Counter("habeas_outbox_swept_total", "Events sent by the sweeper", registry=REGISTRY)
    outbox_stale = Gauge(
        "habeas_outbox_stale_records", "Events that should have been sent by now: Kafka refuses them", registry=REGISTRY
    )
    outbox_late = Counter(
        "habeas_outbox_late_total",
        "Statuses that a newer one overtook on their way: that one was said again",
        registry=REGISTRY,
    )
    outbox_failures = Counter("habeas_outbox_failures_total", "Sends that Kafka did not confirm", registry=REGISTRY)
    paused = Gauge(
        "habeas_paused_partitions", "Partitions that stand still until an operator resumes them", registry=REGISTRY
    )
    poll_age = Gauge("habeas_poll_age_seconds", "Since the consumer last asked for records", registry=REGISTRY)
    lag = Gauge("habeas_lag_records", "Records not yet handled", ["topic"], registry=REGISTRY)
    notices = Counter("habeas_notices_total", "Mails by their fate", ["notice", "result"], registry=REGISTRY)


METRICS = Metrics


def exposition() -> bytes:
    """What /metrics answers."""
    return generate_latest(REGISTRY)


def configure_logging(service: str, level: int = logging.INFO) -> None:
    """JSON lines on standard error, libraries' own logs included."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_tracebacks,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)


def _without_tracebacks(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Where an error arose, not its text: exception messages of drivers quote values."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        trace = error.__traceback__
        frames: list[str] = []
        while trace is not None:
            code = trace.tb_frame.f_code
            frames.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}:{code.co_name}")
            trace = trace.tb_next
        event["where"] = frames[-6:]
    return event
