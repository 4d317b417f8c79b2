"""The lines between the pool and a worker: one JSON object each, orders to its stdin, answers from its stdout."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from gpu_saliency.batch.engine import Advanced, Ended, Failed, Lost, Report
from gpu_saliency.batch.job import JobSpec
from gpu_saliency.batch.order import Order


def order_line(order: Order) -> str:
    """The line of an order."""
    return json.dumps(asdict(order)) + "\n"


def read_order(line: str) -> Order:
    """Read what `order_line` wrote."""
    fields: dict[str, Any] = json.loads(line)
    return Order(**fields | {"spec": JobSpec.from_fields(fields["spec"])})


_KINDS: dict[str, type[Report]] = {"advanced": Advanced, "ended": Ended, "failed": Failed, "lost": Lost}


def report_line(report: Report) -> str:
    """The line of an answer."""
    kind = next(name for name, of in _KINDS.items() if type(report) is of)
    return json.dumps({"answer": kind, **asdict(report)}) + "\n"


def read_report(line: str) -> Report:
    """Read what `report_line` wrote."""
    fields: dict[str, Any] = json.loads(line)
    return _KINDS[fields.pop("answer")](**fields)
