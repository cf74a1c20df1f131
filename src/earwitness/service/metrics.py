"""Counters for monitoring, in Prometheus' text format (version 0.0.4). All are changed in one thread."""

import resource
from bisect import bisect_left
from collections import Counter
from pathlib import Path

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metrics:
    """What the service has done so far."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, int]] = Counter()
        self._seconds: dict[str, list[int]] = {}
        self._seconds_sum: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self.upload_bytes = 0
        self.sound_seconds = 0.0
        self.uploads_in_house = 0

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is a path that the service has, or `other`."""
        self._answers[route, status] += 1
        buckets = self._seconds.setdefault(route, [0] * (len(_BUCKETS) + 1))
        buckets[bisect_left(_BUCKETS, seconds)] += 1
        self._seconds_sum[route] += seconds  # type: ignore[assignment]  # Counter adds any numbers

    def failed(self, kind: str) -> None:
        """An upload gave no sound."""
        self._failures[kind] += 1

    def text(self) -> str:
        """All of it."""
        lines = _head("earwitness_requests_total", "counter", "Requests answered.")
        for (route, status), count in sorted(self._answers.items()):
            lines.append(f'earwitness_requests_total{{route="{route}",status="{status}"}} {count}')
        lines += _head("earwitness_request_seconds", "histogram", "Time from the head of a request to its answer.")
        for route, counts in sorted(self._seconds.items()):
            total = 0
            for bound, count in zip([*_BUCKETS, "+Inf"], counts, strict=True):
                total += count
                lines.append(f'earwitness_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}')
            lines.append(f'earwitness_request_seconds_sum{{route="{route}"}} {self._seconds_sum[route]:.6f}')
            lines.append(f'earwitness_request_seconds_count{{route="{route}"}} {total}')
        lines += _head("earwitness_failures_total", "counter", "Uploads that gave no sound, by kind.")
        lines += [f'earwitness_failures_total{{kind="{kind}"}} {n}' for kind, n in sorted(self._failures.items())]
        for name, kind, words, value in (
            ("earwitness_upload_bytes_total", "counter", "Bytes of uploads taken.", self.upload_bytes),
            ("earwitness_sound_seconds_total", "counter", "Seconds of sound decoded.", round(self.sound_seconds, 3)),
            ("earwitness_uploads_in_house", "gauge", "Uploads on their way or in work.", self.uploads_in_house),
            ("process_resident_memory_bytes", "gauge", "Memory of the service without its decoders.", _memory()),
        ):
            lines += [*_head(name, kind, words), f"{name} {value}"]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, words: str) -> list[str]:
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]


def _memory() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:  # no Linux: the most it ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
