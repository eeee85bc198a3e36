"""Values between callers and replicas: what pickles, and large buffers without detours."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from penstock import _wire


def _trip(value: Any) -> Any:
    return _wire.load(_wire.dump(value))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(1_000_000, dtype=np.float32).reshape(1000, 1000),
        np.asfortranarray(np.arange(90_000.0).reshape(300, 300)),
        np.arange(200_000)[::2],
        np.arange(10),
        np.zeros((0, 3)),
        np.array(["text", None], dtype=object),
    ],
    ids=["c", "fortran", "strided", "small", "empty", "objects"],
)
def test_arrays_survive(array: np.ndarray[Any, Any]) -> None:
    back = _trip(array)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_large_arrays_are_used_where_they_arrive() -> None:
    message = _wire.dump({"a": np.ones(100_000), "b": [np.zeros(50_000, dtype=np.uint8)], "c": "small"})
    assert message[:1] == b"B"
    back = _wire.load(message)
    where = np.frombuffer(message, dtype=np.uint8)
    assert np.shares_memory(back["a"], where)
    assert np.shares_memory(back["b"][0], where)
    assert back["a"].ctypes.data % 16 == 0
    assert not back["a"].flags.writeable
    assert back["c"] == "small"


def test_a_large_array_is_copied_once_into_its_message() -> None:
    array = np.random.default_rng(1).random(100_000)
    assert len(_wire.dump(array)) < array.nbytes + 1000
    assert array.tobytes() in _wire.dump(array)


def test_the_same_array_twice_is_sent_once_and_stays_one() -> None:
    array = np.ones(100_000)
    message = _wire.dump_call((array, array), {})
    assert len(message) < 1.5 * array.nbytes
    (first, second), _ = _wire.load(message)
    assert first is second


def test_small_and_plain_values_are_plain_pickles() -> None:
    for value in (None, 1, "text", b"x" * 100_000, [1, "a"], {"k": 1.5}, {1, 2}, np.ones(3)):
        message = _wire.dump(value)
        assert message[:1] == b"P"
        assert pickle.loads(message[1:]) is not NotImplemented
        np.testing.assert_equal(_wire.load(message), value)
