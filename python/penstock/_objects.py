"""Object references: values and results put aside under a name.

There is no object store: a reference holds its value, or the response that will become it. They
exist so that scripts using ``ray.put``, ``ray.get`` and responses as references run unchanged.
"""

from __future__ import annotations

from typing import Any, Optional

__all__ = ["ObjectRef", "get", "put"]


class ObjectRef:
    """A value, or the result of a call under way. Handles take it where they take the value."""

    def __init__(self, value: Any = None, response: Any = None) -> None:
        self._value = value
        self._response = response

    def resolve(self, timeout_s: Optional[float] = None) -> Any:
        """The value; waits for it. TimeoutError after ``timeout_s``."""
        if self._response is None:
            return self._value
        return self._response.result(timeout_s=timeout_s, _skip_asyncio_check=True)

    @property
    def response(self) -> Any:
        """The call it stands for, or None for a plain value."""
        return self._response

    def __await__(self) -> Any:
        return self._resolve_async().__await__()

    async def _resolve_async(self) -> Any:
        return self._value if self._response is None else await self._response

    def __reduce__(self) -> Any:
        return ObjectRef, (self.resolve(),)

    def __repr__(self) -> str:
        return f"ObjectRef({id(self):x})"


def put(value: Any) -> ObjectRef:
    """A reference to a value. TypeError for a reference."""
    if isinstance(value, ObjectRef):
        raise TypeError(
            "Calling 'put' on an ray.ObjectRef is not allowed. If you really want to do this, you can "
            "wrap the ray.ObjectRef in a list and call 'put' on it."
        )
    return ObjectRef(value)


def get(object_refs: Any, *, timeout: Optional[float] = None) -> Any:
    """The value of a reference, or the values of a list of them. GetTimeoutError after ``timeout`` s."""
    from penstock._errors import GetTimeoutError

    try:
        if isinstance(object_refs, ObjectRef):
            return object_refs.resolve(timeout)
        if not isinstance(object_refs, list):
            raise ValueError(
                f"Invalid type of object refs, {type(object_refs)}, is given. 'object_refs' must either "
                "be an ObjectRef or a list of ObjectRefs. "
            )
        for ref in object_refs:
            if not isinstance(ref, ObjectRef):
                raise TypeError(f"Attempting to call `get` on the value {ref}, which is not an ray.ObjectRef.")
        return [ref.resolve(timeout) for ref in object_refs]
    except GetTimeoutError:
        raise
    except TimeoutError as error:
        raise GetTimeoutError(str(error)) from None
