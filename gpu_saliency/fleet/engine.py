"""`FleetEngine`: the engine that runs stages on the nodes of a Ray cluster.

It keeps a worker in every seat (seats.py), puts orders into the queue actor, and passes on what the workers report there. A worker
that dies is replaced, and its job is reported as lost; a node that joins is checked first, like those of the start.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_saliency.batch.engine import Advanced, Ended, Lost, Report
from gpu_saliency.batch.local.wire import order_line, read_report
from gpu_saliency.batch.order import Order
from gpu_saliency.batch.stages import STAGES
from gpu_saliency.errors import GpuSaliencyError, ToolMissingError
from gpu_saliency.fleet.checks import NodeChecks, refresh
from gpu_saliency.fleet.cluster import Cluster, first_line
from gpu_saliency.fleet.queue_actor import QueueActor
from gpu_saliency.fleet.seats import Node, Seat, place_workers
from gpu_saliency.fleet.worker import FleetWorker, Program
from gpu_saliency.progress import Observer

_LOOK_SECONDS = 5.0
"""Seconds after which nodes that joined or left are noticed."""
_NEWS_SECONDS = 10.0
_CLOSE_SECONDS = 15.0
_IDLE_SECONDS = 30.0
"""Time without any worker after which the user is told."""
_MOST_DEATHS = 5
"""Workers of a node that may die one after the other, with no job done, before the node is left out."""
_MOST_QUEUES = 3
_CONCURRENCY = 20_000
"""Calls that the queue actor keeps open: each worker has one."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked for; ``None`` leaves the number of workers to the nodes."""

    plan: int | None = None
    encode: int | None = None
    gpus_per_worker: float = 1.0


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    seat: Seat
    actor: Any


class FleetEngine:
    """Workers on the nodes of a cluster; an `Engine`. All its methods are called in one thread."""

    def __init__(self, cluster: Cluster, checks: NodeChecks, program: Program, wishes: Wishes, observer: Observer) -> None:
        """Check all nodes, and start a worker in each seat. Raises the error of a node that cannot work (`NodeChecks`)."""
        self._cluster, self._ray, self._checks, self._program, self._wishes = cluster, cluster.ray, checks, program, wishes
        self._observer = observer
        self._out: dict[int, Order] = {}
        self._cancelled: set[int] = set()
        self._members: dict[Any, _Member] = {}
        self._asked: dict[Any, tuple[Node, str]] = {}
        self._good: dict[str, Node] = {}
        self._left_out: set[str] = set()
        self._deaths: Counter[str] = Counter()
        self._ready: dict[str, int] = {}
        self._queues = 0
        self._is_woken = False
        nodes = cluster.nodes()
        checks.check_all(nodes)
        self._good = {node.id: node for node in nodes}
        self._open_queue()
        self._idle_since = self._looked = time.monotonic()
        self._fill_seats()

    @property
    def seats(self) -> list[Seat]:
        """The places of the workers now."""
        return [member.seat for member in self._members.values()]

    def free(self, stage: str) -> int:
        return self._ready.get(stage, 0) - sum(1 for order in self._out.values() if order.stage == stage)

    def start(self, order: Order) -> None:
        self._out[order.job] = order
        self._queue.post.remote(order.stage, order.job, order_line(order))

    def reports(self, seconds: float) -> list[Report]:
        found: list[Report] = []
        waited = [self._news, *self._members, *self._asked]
        seconds = 0.0 if self._is_woken else seconds
        self._is_woken = False
        ready, _ = self._ray.wait(waited, num_returns=1, timeout=seconds, fetch_local=False)
        if ready:
            ready, _ = self._ray.wait(waited, num_returns=len(waited), timeout=0, fetch_local=False)
        for one in ready:
            if one in self._asked:
                self._judge(one)
            elif one in self._members:
                found += self._bury(one)
            elif one is self._news:
                found += self._read_news()
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._look()
        return found

    def cancel(self, job: int) -> None:
        if job in self._out and job not in self._cancelled:
            self._cancelled.add(job)
            self._queue.cancel.remote(job)

    def wake(self) -> None:
        self._is_woken = True

    def close(self) -> None:
        self._queue.close.remote()
        waited = list(self._members)
        if waited:
            self._ray.wait(waited, num_returns=len(waited), timeout=_CLOSE_SECONDS, fetch_local=False)
        for actor in [*(member.actor for member in self._members.values()), self._queue]:
            self._ray.kill(actor)
        self._members.clear()

    def _open_queue(self) -> None:
        here = self._cluster.on_node(self._cluster.here)
        options = {"num_cpus": 0, "max_concurrency": _CONCURRENCY, "scheduling_strategy": here}
        self._queue = self._ray.remote(QueueActor).options(**options).remote(list(STAGES))
        self._news = self._queue.news.remote(_NEWS_SECONDS)

    def _read_news(self) -> list[Report]:
        try:
            events, self._ready = self._ray.get(self._news)
        except self._ray.exceptions.RayError as error:
            return self._replace_queue(first_line(error))
        self._news = self._queue.news.remote(_NEWS_SECONDS)
        found = []
        nodes = {member.name: member.seat.node.id for member in self._members.values()}
        for worker, line in events:
            report = read_report(line)
            order = self._out.get(report.job)
            if order is None or order.stage != report.stage:
                continue  # of a job that was reported as lost
            if not isinstance(report, Advanced):
                self._forget(report.job)
            if isinstance(report, Ended):
                self._deaths.pop(nodes.get(worker, ""), None)
                for folder in {Path(output).parent for output in order.spec.outputs}:
                    refresh(folder)
            found.append(report)
        return found

    def _replace_queue(self, reason: str) -> list[Report]:
        """The queue actor has died: all jobs are lost, and all workers are replaced."""
        self._queues += 1
        if self._queues > _MOST_QUEUES:
            raise ToolMissingError(f"Ray's queue actor ended {self._queues} times: {reason}", cure="see the logs of Ray")
        for member in self._members.values():
            self._ray.kill(member.actor)
        self._members.clear()
        lost: list[Report] = [self._lost(order, f"the queue actor ended: {reason}") for order in list(self._out.values())]
        self._ready = {}
        self._open_queue()
        self._fill_seats()
        return lost

    def _bury(self, one: Any) -> list[Report]:
        """A worker has ended; its seat gets another one."""
        member = self._members.pop(one)
        reason = "it left"
        try:
            self._ray.get(one)
        except self._ray.exceptions.RayError as error:
            reason = first_line(error)
            self._ray.kill(member.actor)  # Ray may only have lost sight of it
        node = member.seat.node
        self._deaths[node.id] += 1
        self._observer.say(f"the {member.seat.stage} worker on node {node.name} ended: {reason}")
        if self._deaths[node.id] > _MOST_DEATHS and node.id in self._good:
            self._leave_out(node, f"its workers end: {reason}")
            if not self._good:
                raise ToolMissingError(f"no node is left: the workers of {node.name} end: {reason}", cure="see the logs of Ray")
        self._look()
        try:
            held = self._ray.get(self._queue.bury.remote(member.name))
        except self._ray.exceptions.RayError:
            return []  # the queue actor too: its end is noticed next
        order = None if held is None else self._out.get(held[0])
        return [] if order is None else [self._lost(order, f"the worker on node {node.name} ended: {reason}")]

    def _lost(self, order: Order, reason: str) -> Lost:
        by_user = order.job in self._cancelled
        self._forget(order.job)
        return Lost(order.job, order.stage, "cancelled" if by_user else reason, by_user=by_user)

    def _forget(self, job: int) -> None:
        self._out.pop(job, None)
        self._cancelled.discard(job)

    def _look(self) -> None:
        """Notice nodes that have left, and ask those that have joined."""
        self._looked = time.monotonic()
        nodes = {node.id: node for node in self._cluster.nodes()}
        for gone in self._good.keys() - nodes.keys():
            self._observer.warn(f"node {self._good.pop(gone).name} has left")
        asked = {node.id for node, _ in self._asked.values()}
        for new in nodes.keys() - self._good.keys() - self._left_out - asked:
            answer, files = self._checks.start(nodes[new])
            self._asked[answer] = nodes[new], files
        self._fill_seats()
        if any(self._ready.values()):
            self._idle_since = self._looked
        elif self._looked - self._idle_since > _IDLE_SECONDS:
            self._idle_since = float("inf")  # told once
            self._observer.warn("no worker can start: Ray has no free cores or GPUs for them, or no node is left")

    def _judge(self, answer: Any) -> None:
        """A node that joined has answered."""
        node, files = self._asked.pop(answer)
        try:
            self._checks.finish(node, answer, files)
        except GpuSaliencyError as error:
            self._leave_out(node, error.line(self._observer.spell))
            return
        self._good[node.id] = node
        self._observer.say(f"node {node.name} has joined")
        self._fill_seats()

    def _leave_out(self, node: Node, reason: str) -> None:
        self._good.pop(node.id, None)
        self._left_out.add(node.id)
        self._observer.warn(f"node {node.name} is left out: {reason}")

    def _fill_seats(self) -> None:
        """Start a worker in each seat that has none; where nodes have joined, the numbers that were asked for stay."""
        wanted = place_workers(list(self._good.values()), self._wishes.plan, self._wishes.encode, self._wishes.gpus_per_worker)
        left = Counter(seat.stage for seat in wanted)
        taken = {(seat.node.id, seat.stage, seat.number) for seat in self.seats}
        left.subtract(seat.stage for seat in self.seats)
        for seat in wanted:
            if (seat.node.id, seat.stage, seat.number) not in taken and left[seat.stage] > 0:
                left[seat.stage] -= 1
                self._start_worker(seat)

    def _start_worker(self, seat: Seat) -> None:
        name = f"{seat.stage}-{secrets.token_hex(6)}"
        options = {"num_cpus": seat.cores, "num_gpus": seat.gpus, "max_restarts": 0}
        options["scheduling_strategy"] = self._cluster.on_node(seat.node.id)
        actor = self._ray.remote(FleetWorker).options(**options).remote(self._queue, name, seat.stage, self._program)
        self._members[actor.serve.remote()] = _Member(name, seat, actor)
