"""A request's body as it is gathered in a replica, with a scripted call."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, cast

import pytest

from penstock._replica.body import whole_body


class _Call:
    """Announced ten bytes; ``collected`` of them come, then the end or the cancellation."""

    def __init__(self, collected: int, cancelled: bool = False) -> None:
        self.body_ended = False
        self.cancelled = False
        self.collected = 0
        self._at_the_end = (collected, cancelled)

    def collect_body(self) -> bytes:
        return b"received??"

    def set_on_body(self, then: Callable[[], None]) -> None:
        self.body_ended = True
        self.collected, self.cancelled = self._at_the_end
        then()


@pytest.mark.parametrize(("collected", "whole"), [(10, b"received??"), (8, b"received"), (0, b"")])
def test_memory_that_no_byte_came_for_is_not_shown(collected: int, whole: bytes) -> None:
    assert asyncio.run(whole_body(cast(Any, _Call(collected)))) == whole


def test_a_body_that_was_given_up_is_none() -> None:
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(whole_body(cast(Any, _Call(4, cancelled=True))))
