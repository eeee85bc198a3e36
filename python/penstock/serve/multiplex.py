"""``@serve.multiplexed``: many models behind one deployment, the latest used kept loaded."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
import weakref
from collections import OrderedDict
from collections.abc import Awaitable
from typing import Any, Callable, Optional

from penstock.serve._farewell import say_farewell
from penstock.serve._feature_metrics import ModelMetrics
from penstock.serve._methods import Methods

__all__ = ["announce_with", "multiplexed", "unload_all"]

logger = logging.getLogger("ray.serve")

# Of this process: the replica announces them together.
_caches: weakref.WeakSet[_Cache] = weakref.WeakSet()
_announce: Optional[Callable[[list[str]], None]] = None
_announced: list[str] = []


def announce_with(announce: Optional[Callable[[list[str]], None]]) -> None:
    """In a replica: calls ``announce(model_ids)`` whenever these are other models than before."""
    global _announce
    _announce = announce


def _changed() -> None:
    global _announced
    ids = sorted({model_id for cache in _caches for model_id in cache.ids()})
    if _announce is not None and ids != _announced:
        _announced = ids
        _announce(ids)


async def unload_all() -> None:
    """Unloads every model of this process: the replica is about to end."""
    for cache in list(_caches):
        await cache.clear()


# ---- the models of one object ----


class _Loading:
    """A load under way and how many wait for it."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.waiters = 0


class _Cache:
    """The models of one object, or of a function: the least recently used has to go first."""

    def __init__(self, load: Callable[[str], Awaitable[Any]], limit: int) -> None:
        self._load = load
        self._limit = limit  # -1: none
        self._models: OrderedDict[str, Any] = OrderedDict()
        self._loading: dict[str, _Loading] = {}
        self._lock = asyncio.Lock()  # one load or unload at a time
        self._metrics = ModelMetrics()
        _caches.add(self)

    def ids(self) -> list[str]:
        """Of the models that are here or on their way."""
        return [*self._models, *self._loading]

    async def get(self, model_id: Any) -> Any:
        """The model; loads it if it is not there. TypeError or ValueError for what is no id."""
        if not isinstance(model_id, str):
            raise TypeError("The model ID must be a string.")
        if not model_id:
            raise ValueError("The model ID cannot be empty.")
        self._metrics.requests.inc()
        if model_id in self._models:
            self._models.move_to_end(model_id)
            return self._models[model_id]
        loading = self._loading.get(model_id)
        if loading is None:
            loading = _Loading(asyncio.get_running_loop().create_task(self._bring(model_id)))
            self._loading[model_id] = loading
            _changed()
        return await self._wait(model_id, loading)

    async def _wait(self, model_id: str, loading: _Loading) -> Any:
        """The load serves everybody who waits for it, and ends with the last of them."""
        loading.waiters += 1
        try:
            return await asyncio.shield(loading.task)
        except asyncio.CancelledError:
            if loading.waiters == 1 and not loading.task.done():
                loading.task.cancel()
                self._forget(model_id, loading.task)
            raise
        finally:
            loading.waiters -= 1

    def _forget(self, model_id: str, task: Optional[asyncio.Task[Any]]) -> None:
        loading = self._loading.get(model_id)
        if loading is not None and loading.task is task:
            del self._loading[model_id]
            _changed()

    async def _bring(self, model_id: str) -> Any:
        try:
            async with self._lock:
                while 0 < self._limit <= len(self._models):
                    await self._evict()
                began = time.monotonic()
                logger.info("Loading model '%s'.", model_id)
                model = self._models[model_id] = await self._load(model_id)
                took_ms = 1000 * (time.monotonic() - began)
                logger.info("Loaded model '%s' in %.1f ms.", model_id, took_ms)
                self._count(model_id, loaded=True)
                self._metrics.loads.inc()
                self._metrics.load_ms.observe(took_ms)
                return model
        except Exception as error:
            logger.error("Failed to load model '%s': %r", model_id, error)
            raise
        finally:
            self._forget(model_id, asyncio.current_task())

    async def _evict(self) -> None:
        model_id, model = self._models.popitem(last=False)
        _changed()
        logger.info("Unloading model '%s'.", model_id)
        began = time.monotonic()
        await say_farewell(model, "A model", in_thread=True)
        self._count(model_id, loaded=False)
        self._metrics.unloads.inc()
        self._metrics.unload_ms.observe(1000 * (time.monotonic() - began))

    def _count(self, model_id: str, loaded: bool) -> None:
        self._metrics.registered.set(int(loaded), tags={"model_id": model_id})
        self._metrics.models.set(sum(len(cache._models) for cache in _caches))

    async def clear(self) -> None:
        """Unloads everything."""
        async with self._lock:
            while self._models:
                await self._evict()


# ---- the decorator ----


class _Multiplexer:
    """A decorated function and its caches, made when they are used; shipped without these."""

    def __init__(self, function: Callable[..., Any], limit: int) -> None:
        self.__setstate__((function, limit))

    def __getstate__(self) -> tuple[Any, ...]:
        return self.function, self._limit

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.function, self._limit = state
        self._attribute = f"_penstock_models_{self.function.__name__}"
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Cache]
        self._by_loop = weakref.WeakKeyDictionary()

    @functools.cached_property
    def _methods(self) -> Methods:
        return Methods(self.function)

    async def get(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The model for the arguments of a call. TypeError for any but one id."""
        on_object = self._methods.called_on(args)
        ids = [*args[on_object:], *kwargs.values()]
        if len(ids) != 1:
            raise TypeError(
                "Functions decorated with `@serve.multiplexed` take exactly one argument, "
                f"the model ID; got {len(ids)}."
            )
        cache = self._cache_of(args[0]) if on_object else self._own_cache()
        return await cache.get(ids[0])

    def _cache_of(self, owner: Any) -> _Cache:
        cache: Optional[_Cache] = getattr(owner, "__dict__", {}).get(self._attribute)
        if cache is None:
            # The owner has the cache, which therefore must not have the owner.
            weak = weakref.ref(owner)
            cache = _Cache(lambda model_id: self.function(weak(), model_id), self._limit)
            (type if isinstance(owner, type) else object).__setattr__(owner, self._attribute, cache)
        return cache

    def _own_cache(self) -> _Cache:
        loop = asyncio.get_running_loop()
        cache = self._by_loop.get(loop)
        if cache is None:
            cache = self._by_loop[loop] = _Cache(self.function, self._limit)
        return cache


def _check(function: Any) -> None:
    if not callable(function):
        raise TypeError("The `multiplexed` decorator must be used with a function or method.")
    if not inspect.iscoroutinefunction(function):
        raise TypeError("@serve.multiplexed can only be used to decorate async functions or methods.")
    if len(inspect.signature(function).parameters) not in (1, 2):
        raise TypeError("@serve.multiplexed can only decorate functions or methods with one argument, 'model_id: str'.")


def multiplexed(func: Optional[Callable[..., Any]] = None, max_num_models_per_replica: int = 3) -> Any:
    """Makes ``async def load(model_id)``, a function or method, load each model once and keep it.

    At most ``max_num_models_per_replica`` are kept (-1: all); the least recently used goes first,
    and its ``__del__`` is called, on a thread if it is not async. Routers send requests that name
    a model to replicas that have it. TypeError or ValueError for what cannot be decorated so.
    """
    if func is not None:
        _check(func)
    if not isinstance(max_num_models_per_replica, int):
        raise TypeError("max_num_models_per_replica must be an integer.")
    if max_num_models_per_replica != -1 and max_num_models_per_replica <= 0:
        raise ValueError("max_num_models_per_replica must be positive, or -1 for no limit.")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        _check(function)
        multiplexer = _Multiplexer(function, max_num_models_per_replica)

        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await multiplexer.get(args, kwargs)

        return wrapper

    return decorate if func is None else decorate(func)
