"""What batching and multiplexing count, by Ray Serve's names."""

from __future__ import annotations

from penstock.serve.metrics import Counter, Gauge, Histogram

__all__ = ["LATENCY_BOUNDS_MS", "BatchMetrics", "ModelMetrics"]

LATENCY_BOUNDS_MS = [
    *(1, 2, 5, 10, 20, 50, 100, 200, 300, 400, 500, 1000, 2000, 5000, 10000),
    *(60000, 120000, 300000, 600000),
]
_SIZES = [2**n for n in range(11)]
_PERCENTS = [5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 100]


class BatchMetrics:
    """Of one batched function."""

    def __init__(self, function_name: str) -> None:
        keys = ("function_name",)
        self.wait_ms = Histogram(
            "serve_batch_wait_time_ms", "How long batches waited to fill.", LATENCY_BOUNDS_MS, keys
        )
        self.execution_ms = Histogram("serve_batch_execution_time_ms", "How long batches ran.", LATENCY_BOUNDS_MS, keys)
        self.utilization_percent = Histogram(
            "serve_batch_utilization_percent", "Size of batches as a share of max_batch_size.", _PERCENTS, keys
        )
        self.size = Histogram("serve_actual_batch_size", "Requests in a batch.", _SIZES, keys)
        self.queue_length = Gauge("serve_batch_queue_length", "Requests that wait for a batch.", keys)
        self.batches = Counter("serve_batches_processed", "Batches that ran.", keys)
        for metric in vars(self).values():
            metric.set_default_tags({"function_name": function_name})


class ModelMetrics:
    """Of the multiplexed models of this process."""

    def __init__(self) -> None:
        self.load_ms = Histogram(
            "serve_multiplexed_model_load_latency_ms", "How long loading a model took.", LATENCY_BOUNDS_MS
        )
        self.unload_ms = Histogram(
            "serve_multiplexed_model_unload_latency_ms", "How long unloading a model took.", LATENCY_BOUNDS_MS
        )
        self.models = Gauge("serve_num_multiplexed_models", "Models that are loaded.")
        self.registered = Gauge(
            "serve_registered_multiplexed_model_id", "1 for a model that is loaded.", tag_keys=("model_id",)
        )
        self.requests = Counter("serve_multiplexed_get_model_requests_counter", "Requests for a model.")
        self.loads = Counter("serve_multiplexed_models_load_counter", "Models that were loaded.")
        self.unloads = Counter("serve_multiplexed_models_unload_counter", "Models that were unloaded.")
