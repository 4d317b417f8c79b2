"""`Metrics`: figures of the service in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gpu_saliency._version import __version__
from gpu_saliency.batch.queue.row import STATES
from gpu_saliency.serve.disk import Disk
from gpu_saliency.serve.hub import Hub
from gpu_saliency.serve.progress import BUCKETS, Progress

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """Collects when it is asked, from what the scheduler last said; it reads no database."""

    def __init__(self, progress: Progress, hub: Hub, disk: Disk, is_ready: Callable[[], bool]) -> None:
        self._progress, self._hub, self._disk, self._is_ready = progress, hub, disk, is_ready
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """All figures."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing: the names are not known before the first `collect`."""
        return []

    def collect(self) -> Iterator[Metric]:
        counts = self._progress.counts
        jobs = GaugeMetricFamily("gpu_saliency_jobs", "Jobs in the queue's database, by state.", labels=["state"])
        for state in STATES:
            jobs.add_metric([state], counts.get(state, 0))
        yield jobs
        depth = GaugeMetricFamily("gpu_saliency_queue_depth", "Jobs that wait, by the stage that comes next.", labels=["stage"])
        running = GaugeMetricFamily("gpu_saliency_running", "Stages that run.", labels=["stage"])
        for stage in ("plan", "encode"):
            depth.add_metric([stage], counts.get(f"queued/{stage}", 0))
            running.add_metric([stage], sum(one.stage == stage for one in self._progress.running()))
        yield depth
        yield running
        ended = CounterMetricFamily("gpu_saliency_jobs_ended", "Jobs that ended since the start, by state.", labels=["state"])
        for state, count in sorted(self._progress.ended_jobs.items()):
            ended.add_metric([state], count)
        yield ended
        yield CounterMetricFamily(
            "gpu_saliency_frames", "Frames of the jobs that are done, since the start.", self._progress.frames_total
        )
        fps = self._progress.frames_per_second()
        yield GaugeMetricFamily("gpu_saliency_frames_per_second", "Frames that all encoders took each second lately.", fps)
        yield self._stages()
        free = GaugeMetricFamily("gpu_saliency_free_bytes", "Free bytes of the folders that can be written.", labels=["folder"])
        for folder, size in self._disk.free().items():
            free.add_metric([folder], size)
        yield free
        yield GaugeMetricFamily("gpu_saliency_event_clients", "Clients that listen to events.", self._hub.count)
        yield GaugeMetricFamily("gpu_saliency_working", "1 while jobs are started.", float(self._is_ready()))
        info = GaugeMetricFamily("gpu_saliency_build_info", "Always 1.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info

    def _stages(self) -> Metric:
        text = "Seconds that a stage of a job took, by outcome: done, failed or lost."
        times = HistogramMetricFamily("gpu_saliency_stage_seconds", text, labels=["stage", "outcome"])
        for (stage, outcome), counts in sorted(self._progress.stage_seconds.items()):
            buckets = [*((f"{end:g}", counts[number]) for number, end in enumerate(BUCKETS)), ("+Inf", counts[-2])]
            times.add_metric([stage, outcome], buckets, counts[-1])
        return times
