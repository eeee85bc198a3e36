"""Counters, gauges and histograms of this process: Ray's classes, and what they have counted.

Series are kept by name for as long as the process lives, as in Ray: who makes a metric again goes
on counting. ``collect`` is called when somebody wants to see them (docs/design/metrics.md).
"""

from __future__ import annotations

import json
import math
import re
import threading
import warnings
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Optional, Union

__all__ = ["Counter", "Gauge", "Histogram", "Metric", "collect"]

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

Tags = Optional[dict[str, str]]

_MOST_KNOWN = 1000  # combinations of tags whose series a metric remembers


class _Store:
    """The series of one family, by the values of its tags."""

    def __init__(self, family: dict[str, Any]) -> None:
        self.family = family
        self.lock = threading.Lock()
        self.series: dict[tuple[str, ...], Any] = {}

    def collect(self) -> dict[str, Any]:
        """The family in the form of src/base/metrics.h."""
        with self.lock:
            samples = [_sample(tags, cell) for tags, cell in self.series.items()]
        return {**self.family, "samples": samples}


def _sample(tags: tuple[str, ...], cell: Any) -> list[Any]:
    """A histogram's cell is its counts and, last, its sum."""
    if isinstance(cell, list):
        return [tags, _number(cell[-1]), cell[:-1]]
    return [tags, _number(cell), []]


def _number(value: float) -> Union[float, str]:
    """JSON has no word for what is not finite."""
    return value if math.isfinite(value) else str(float(value))


_stores: dict[Any, _Store] = {}
_stores_lock = threading.Lock()


def _store(kind: str, name: str, description: str, tag_keys: tuple[str, ...], bounds: tuple[float, ...]) -> _Store:
    key = (kind, name, tag_keys, bounds)
    with _stores_lock:
        store = _stores.get(key)
        if store is None:
            family = {"kind": kind, "name": name, "description": description}
            store = _stores[key] = _Store({**family, "tag_keys": tag_keys, "bounds": bounds})
        return store


def collect() -> str:
    """Everything that was counted, as JSON."""
    with _stores_lock:
        stores = list(_stores.values())
    return json.dumps([store.collect() for store in stores])


def _is_valid(name: str) -> bool:
    if not isinstance(name, str):
        raise TypeError(f"name must be str, got {type(name)}.")
    if not name:
        raise ValueError("Empty name is not allowed. Please provide a metric name.")
    if _NAME.fullmatch(name):
        return True
    warnings.warn(
        f"Invalid metric name: {name}. Metric will be discarded and data will not be collected or published. "
        "Metric names can only contain letters, numbers, _, and :. Metric names cannot start with numbers.",
        UserWarning,
        stacklevel=4,
    )
    return False


def _check_values(tags: dict[str, str]) -> None:
    for value in tags.values():
        if not isinstance(value, str):
            raise TypeError(f"Tag values must be str, got {type(value)}.")


class Metric:
    """What the three kinds share. Any thread."""

    _kind = ""

    def __init__(
        self,
        name: str,
        description: str = "",
        tag_keys: Optional[tuple[str, ...]] = None,
        _bounds: tuple[float, ...] = (),
    ) -> None:
        valid = _is_valid(name)
        if tag_keys is not None and not isinstance(tag_keys, tuple):
            raise TypeError(f"tag_keys should be a tuple type, got: {type(tag_keys)}")
        for key in tag_keys or ():
            if not isinstance(key, str):
                raise TypeError(f"Tag keys must be str, got {type(key)}.")
        self._name = name
        self._description = description
        self._tag_keys: tuple[str, ...] = tag_keys or ()
        self._default_tags: dict[str, str] = {}
        # One that is discarded counts for itself.
        family = (self._kind, name, description, self._tag_keys, _bounds)
        store = _store(*family) if valid else _Store({})
        self._series = store.series
        self._lock = store.lock
        self._default_key: Optional[tuple[str, ...]] = None
        self._refresh()

    def set_default_tags(self, default_tags: dict[str, str]) -> Metric:
        """Tags of every record that does not give its own. ValueError for a key that is none of ours."""
        for key in default_tags:
            if key not in self._tag_keys:
                raise ValueError(f"Unrecognized tag key {key}.")
        _check_values(default_tags)
        self._default_tags = dict(default_tags)
        self._refresh()
        return self

    def _refresh(self) -> None:
        """The tags of a record without any: None when some have no value."""
        defaults = self._default_tags
        complete = all(key in defaults for key in self._tag_keys)
        self._default_key = tuple(defaults[key] for key in self._tag_keys) if complete else None
        self._known: dict[tuple[tuple[str, str], ...], tuple[str, ...]] = {}

    def _key(self, tags: Tags) -> tuple[str, ...]:
        """The series that a record with these tags belongs to."""
        if not tags:
            return self._default_key if self._default_key is not None else self._make_key({})
        given = tuple(tags.items())
        try:
            return self._known[given]
        except (KeyError, TypeError):  # not seen yet, or with a value that is none
            key = self._make_key(tags)
        if len(self._known) < _MOST_KNOWN:
            self._known[given] = key
        return key

    def _make_key(self, tags: dict[str, str]) -> tuple[str, ...]:
        _check_values(tags)
        for key in tags:
            if key not in self._tag_keys:
                raise ValueError(f"Unrecognized tag key {key}.")
        final = {**self._default_tags, **tags}
        missing = [key for key in self._tag_keys if key not in final]
        if missing:
            raise ValueError(f"Missing value for tag key(s): {','.join(missing)}.")
        return tuple([final[key] for key in self._tag_keys])

    @property
    def info(self) -> dict[str, Any]:
        """Name, description, tag keys and default tags."""
        return {
            "name": self._name,
            "description": self._description,
            "tag_keys": self._tag_keys,
            "default_tags": self._default_tags,
        }

    def _arguments(self) -> tuple[Any, ...]:
        return (self._name, self._description, self._tag_keys)

    # Shipped as its definition: where it arrives it counts anew.

    def __reduce__(self) -> Any:
        return type(self), self._arguments(), self._default_tags

    def __setstate__(self, default_tags: dict[str, str]) -> None:
        self.set_default_tags(default_tags)


def _check_number(value: Any) -> None:
    if not isinstance(value, (int, float)):
        raise TypeError(f"value must be int or float, got {type(value)}.")


class Counter(Metric):
    """Only grows."""

    _kind = "counter"

    def inc(self, value: Union[int, float] = 1.0, tags: Tags = None) -> None:
        """Adds ``value``. TypeError for what is no number, ValueError unless it is above zero."""
        _check_number(value)
        if value <= 0:
            raise ValueError(f"value must be >0, got {value}")
        key = self._key(tags)
        with self._lock:
            self._series[key] = self._series.get(key, 0.0) + value


class Gauge(Metric):
    """Keeps the last value."""

    _kind = "gauge"

    def set(self, value: Optional[Union[int, float]], tags: Tags = None) -> None:
        """Replaces the value; None changes nothing. TypeError for what is no number."""
        if value is None:
            return
        _check_number(value)
        key = self._key(tags)
        with self._lock:
            self._series[key] = float(value)


class Histogram(Metric):
    """Counts observations by bucket."""

    _kind = "histogram"

    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: Optional[Sequence[float]] = None,
        tag_keys: Optional[tuple[str, ...]] = None,
    ) -> None:
        if not boundaries:
            raise ValueError(
                "boundaries argument should be provided when using the Histogram class. e.g., "
                'Histogram("name", boundaries=[1.0, 2.0])'
            )
        for i, bound in enumerate(boundaries):
            _check_number(bound)
            if not bound > 0:
                raise ValueError(
                    f"Invalid `boundaries` argument at index {i}, {boundaries}. Use positive values for the arguments."
                )
        self.boundaries = boundaries
        self._bounds = tuple(sorted({float(bound) for bound in boundaries if math.isfinite(bound)}))
        super().__init__(name, description, tag_keys, self._bounds)

    def observe(self, value: Union[int, float], tags: Tags = None) -> None:
        """Counts ``value`` in its bucket. TypeError for what is no number."""
        _check_number(value)
        key = self._key(tags)
        bucket = bisect_left(self._bounds, value)
        with self._lock:
            cell = self._series.get(key)
            if cell is None:
                cell = self._series[key] = [0] * (len(self._bounds) + 1) + [0.0]
            cell[bucket] += 1
            cell[-1] += value

    def _arguments(self) -> tuple[Any, ...]:
        return (self._name, self._description, self.boundaries, self._tag_keys)
