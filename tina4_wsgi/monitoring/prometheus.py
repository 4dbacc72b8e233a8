"""Writes metrics for Prometheus, with `prometheus_client` (the extra `metrics`)."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from ..errors import ConfigError
from .metrics import FAMILIES, SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import CollectorRegistry, Metric

    from .metrics import Family, Sums

PREFIX = "tina4_"

_NANO = 1e-9
_SECONDS_BITS = range(14, 36, 2)  # from 16 µs in steps of four to 17 s
_SIZES_BITS = range(1, 16, 2)  # 1, 7, 31 … 32,767 members


def check() -> None:
    """Check that `prometheus_client` is installed.

    Raises:
        ConfigError: it isn't.
    """
    try:
        import prometheus_client  # noqa: F401  # only whether it can be imported
    except ImportError as exc:
        raise ConfigError(
            "metrics is set, and prometheus_client isn't installed, expected: pip install "
            "'tina4-wsgi[metrics]'"
        ) from exc


def expose(sums: Sums, accept: str = "") -> tuple[bytes, str]:
    """Encode metrics.

    Args:
        accept: the `Accept` header of the request, which may ask for OpenMetrics; Prometheus' own
            text format otherwise.
    Returns:
        The text, and its media type.
    """
    from prometheus_client.exposition import choose_encoder

    # Of a registry, an encoder uses `collect` alone.
    registry = SimpleNamespace(collect=partial(_metrics, sums))
    encode, media_type = choose_encoder(accept)
    return encode(cast("CollectorRegistry", registry)), media_type


def _metrics(sums: Sums) -> Iterator[Metric]:
    """Yield every family that has a value."""
    for family in FAMILIES:
        if family.kind in ("counter", "gauge", "highest"):
            yield from _numbers(family, sums)
        else:
            yield from _histograms(family, sums)


def _labels(family: Family, key: str) -> list[str]:
    return key.split(SEPARATOR) if family.labels else []


def _numbers(family: Family, sums: Sums) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kinds = {"counter": sums.counters, "gauge": sums.gauges, "highest": sums.highest}
    values = kinds[family.kind].get(family.name)
    if not values:
        return

    made = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = made(PREFIX + family.name, family.help, labels=family.labels)
    for key, value in sorted(values.items()):
        metric.add_metric(_labels(family, key), value)
    yield metric


def _histograms(family: Family, sums: Sums) -> Iterator[Metric]:
    from prometheus_client.core import HistogramMetricFamily

    values = sums.histograms.get(family.name)
    if not values:
        return

    metric = HistogramMetricFamily(PREFIX + family.name, family.help, labels=family.labels)
    for key, numbers in sorted(values.items()):
        buckets, total = _buckets(family, numbers)
        metric.add_metric(_labels(family, key), buckets, total)
    yield metric


def _buckets(family: Family, numbers: list[int]) -> tuple[list[tuple[str, float]], float]:
    """Return the cumulative buckets that Prometheus expects, and the sum."""
    *counts, total = numbers
    is_time = family.kind == "seconds"

    buckets: list[tuple[str, float]] = []
    for bits in _SECONDS_BITS if is_time else _SIZES_BITS:
        bound = (1 << bits) * _NANO if is_time else (1 << bits) - 1
        buckets.append((repr(float(f"{bound:.6g}")), sum(counts[: bits + 1])))
    buckets.append(("+Inf", sum(counts)))

    return buckets, total * _NANO if is_time else total
