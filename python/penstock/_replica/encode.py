"""JSON of what user code returns: plain values, and the types that Ray Serve's encoder knows."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import uuid
from collections.abc import Iterator
from typing import Any

__all__ = ["to_json"]


def to_json(value: Any) -> bytes:
    """Compact JSON, non-ASCII escaped. TypeError for what has no JSON form."""
    return json.dumps(_keys(value), separators=(",", ":"), default=_plain).encode()


def _keys(value: Any) -> Any:
    """Dictionaries with keys that JSON lacks get their text; everything else as it is."""
    if isinstance(value, dict) and not all(isinstance(k, (str, int, float, bool, type(None))) for k in value):
        return {k if isinstance(k, str) else str(_scalar(k)): v for k, v in value.items()}
    return value


def _scalar(value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value


def _plain(value: Any) -> Any:
    """One step toward plain values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, (set, frozenset, Iterator)):
        return list(value)
    if isinstance(value, BaseException):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (uuid.UUID, pathlib.PurePath)):
        return str(value)
    return _foreign(value)


def _foreign(value: Any) -> Any:
    """Types of libraries, known by what they can do: nothing is imported for their sake."""
    module = type(value).__module__.partition(".")[0]
    if module == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    if module == "pandas" and hasattr(value, "to_dict"):
        return value.to_dict(orient="records") if hasattr(value, "columns") else value.to_dict()
    for method in ("model_dump", "dict"):  # pydantic, new and old
        convert = getattr(value, method, None)
        if callable(convert):
            return convert()
    attributes = getattr(value, "__dict__", None)
    if attributes:
        return attributes
    raise TypeError(f"{type(value).__name__} has no JSON form; return a Response, or plain values.")
