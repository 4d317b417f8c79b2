"""`Service`: all parts of the server that the answers to requests need."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gpu_saliency.batch.journal import move_journal
from gpu_saliency.batch.place import maps_file
from gpu_saliency.batch.queue.queue import Queue
from gpu_saliency.batch.queue.row import Job
from gpu_saliency.errors import Spelling
from gpu_saliency.serve.access import Access
from gpu_saliency.serve.disk import Disk
from gpu_saliency.serve.hub import Hub
from gpu_saliency.serve.metrics import Metrics
from gpu_saliency.serve.options import OptionTable
from gpu_saliency.serve.progress import Progress
from gpu_saliency.serve.roots import Roots
from gpu_saliency.serve.scheduler import Scheduler
from gpu_saliency.serve.shapes import JobShapes
from gpu_saliency.serve.store import Store
from gpu_saliency.serve.submission import Desk


@dataclass(slots=True)
class Service:
    """The parts, and whether new jobs are taken."""

    access: Access
    roots: Roots
    disk: Disk
    table: OptionTable
    desk: Desk
    store: Store
    hub: Hub
    progress: Progress
    metrics: Metrics
    scheduler: Scheduler
    maps: Path
    spell: Spelling
    """Spells settings in errors, as requests have them."""
    accepts: bool = True
    """False once a signal has asked the server to end."""
    shapes: JobShapes = field(init=False)

    def __post_init__(self) -> None:
        """Make the types of submissions."""
        self.shapes = JobShapes.of(self.table.shape())

    async def checks(self) -> dict[str, bool]:
        """What must hold so that the server takes and runs jobs."""
        return {
            "accepting": self.accepts,
            "queue": await self.store.is_writable(),
            "workers": self.scheduler.is_working,
            "disk": self.disk.admits,
        }

    def tell(self, job: Job) -> None:
        """Tell all clients the state of ``job``, which a request has changed."""
        self.hub.publish("job", id=job.id, state=job.state, stage=job.stage, priority=job.priority)

    def cancel(self, queue: Queue, number: int) -> bool:
        """Cancel a job; one that only waits leaves no maps. Returns whether there was something to cancel."""
        chosen = queue.cancel([number])
        job = queue.job(number)
        if chosen and job is not None and job.state == "cancelled":
            maps_file(self.maps, number).unlink(missing_ok=True)
            move_journal(queue, job, self.maps)
        return bool(chosen)
