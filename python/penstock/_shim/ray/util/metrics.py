"""Ray's name for Penstock's metrics."""

from penstock._metrics import Counter, Gauge, Histogram, Metric

__all__ = ["Counter", "Gauge", "Histogram", "Metric"]
