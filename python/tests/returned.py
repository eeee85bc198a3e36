"""What user code may return, by kind. Replicas import this module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy
from pydantic import BaseModel
from starlette.responses import JSONResponse, PlainTextResponse

__all__ = ["returned"]


class Model(BaseModel):
    """A model of pydantic's."""

    name: str
    size: int


@dataclass
class Point:
    """A dataclass."""

    x: int
    y: int


def returned(kind: str) -> Any:
    """Something of the kind."""
    values: dict[str, Any] = {
        "none": None,
        "bytes": b"\x00raw\xff",
        "empty bytes": b"",
        "str": "grüezi",
        "empty str": "",
        "dict": {"a": 1, "b": None, "ü": "ö"},
        "list": [1, "two", 3.0],
        "tuple": (1, 2),
        "set": {7},
        "int": 12,
        "float": 0.5,
        "nan": float("nan"),
        "bool": True,
        "dataclass": Point(1, 2),
        "nested dataclass": {"points": [Point(1, 2)]},
        "pydantic": Model(name="n", size=3),
        "numpy array": numpy.arange(4).reshape(2, 2),
        "numpy scalar": numpy.float64(1.5),
        "numpy in dict": {"mean": numpy.float32(0.25), "ids": numpy.array([1, 2])},
        "exception": ValueError("boo"),
        "response": JSONResponse({"made": "by hand"}, status_code=201, headers={"x-own": "1"}),
        "text response": PlainTextResponse("plain", status_code=418),
    }
    return values[kind]
