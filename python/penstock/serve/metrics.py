"""``serve.metrics``: metrics that know which replica they are counted in.

In a replica they carry the tags ``deployment``, ``replica`` and ``application``; a metric with the
tag key ``route`` gets the route of the request that the code works on, unless one is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from penstock import _metrics
from penstock.serve.context import current_replica, request_context

__all__ = ["Counter", "Gauge", "Histogram"]

_RESERVED = ("deployment", "replica", "application")
_ROUTE = "route"


class _InReplica(_metrics.Metric):
    """The tags that Serve adds."""

    def __init__(self, name: str, *args: Any, tag_keys: Optional[tuple[str, ...]] = None) -> None:
        replica = current_replica()
        self._user_keys = tag_keys
        self._serve_tags: dict[str, str] = {}
        if replica is not None and (tag_keys is None or isinstance(tag_keys, tuple)):
            for key in _RESERVED:
                if key in (tag_keys or ()):
                    raise ValueError(f"'{key}' tag is reserved for Ray Serve metrics")
            tag_keys = _RESERVED + (tag_keys or ())
            values = (replica.deployment, replica.replica_tag, replica.app_name)
            self._serve_tags = dict(zip(_RESERVED, values))
        super().__init__(name, *args, tag_keys=tag_keys)  # type: ignore[misc]  # of the kind beside it
        self._takes_route = _ROUTE in self._tag_keys
        if self._serve_tags:
            super().set_default_tags(self._serve_tags)

    def set_default_tags(self, default_tags: dict[str, str]) -> Any:
        """As in Ray; the tags that Serve adds stay. ValueError for one of them."""
        for key in self._serve_tags:
            if key in default_tags:
                raise ValueError(f"'{key}' tag is reserved for Ray Serve metrics")
        return super().set_default_tags({**default_tags, **self._serve_tags})

    def _key(self, tags: _metrics.Tags) -> tuple[str, ...]:
        if self._takes_route and not (tags and _ROUTE in tags):
            context = request_context.get()
            if context is not None and context.route:
                tags = {**(tags or {}), _ROUTE: context.route}
        return super()._key(tags)

    def __reduce__(self) -> Any:
        own = {key: value for key, value in self._default_tags.items() if key not in self._serve_tags}
        return type(self), self._arguments(), own


class Counter(_InReplica, _metrics.Counter):
    """Only grows."""

    def __init__(self, name: str, description: str = "", tag_keys: Optional[tuple[str, ...]] = None) -> None:
        super().__init__(name, description, tag_keys=tag_keys)

    def _arguments(self) -> tuple[Any, ...]:
        return (self._name, self._description, self._user_keys)


class Gauge(_InReplica, _metrics.Gauge):
    """Keeps the last value."""

    def __init__(self, name: str, description: str = "", tag_keys: Optional[tuple[str, ...]] = None) -> None:
        super().__init__(name, description, tag_keys=tag_keys)

    def _arguments(self) -> tuple[Any, ...]:
        return (self._name, self._description, self._user_keys)


class Histogram(_InReplica, _metrics.Histogram):
    """Counts observations by bucket."""

    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: Optional[Sequence[float]] = None,
        tag_keys: Optional[tuple[str, ...]] = None,
    ) -> None:
        super().__init__(name, description, boundaries, tag_keys=tag_keys)

    def _arguments(self) -> tuple[Any, ...]:
        return (self._name, self._description, self.boundaries, self._user_keys)
