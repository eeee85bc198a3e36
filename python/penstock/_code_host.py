"""What the processes of request routers and of autoscaling policies have in common."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import pickle
import sys
import traceback
from typing import Any, Callable

from penstock import _core, _process
from penstock._event_loop import drive, new_event_loop

__all__ = ["import_path", "load", "run", "traceback_of"]


def import_path(path: str, option: str) -> Any:
    """What ``module:name`` or ``module.name`` stands for. ModuleNotFoundError when nothing does."""
    module, _, name = path.rpartition(":" if ":" in path else ".")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ModuleNotFoundError(f"{option} '{path}': module '{module}' has no '{name}'.")
        found = getattr(found, part)
    return found


def load(assignment: dict[str, Any], option: str) -> Any:
    """The user's class or function: its code, or what the path names."""
    if "code_path" not in assignment:
        return import_path(assignment["import_path"], option)
    with open(assignment["code_path"], "rb") as file:
        return pickle.load(file)


def traceback_of(error: BaseException) -> str:
    """The whole of it, as text."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def _configure_logging(kind: str, name: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"%(levelname)s %(asctime)s {kind} {name} -- %(message)s"))
    logger = logging.getLogger("ray.serve")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def run(kind: str, host: Callable[[_core.Loop, asyncio.AbstractEventLoop, dict[str, Any]], object]) -> int:
    """Runs until the agent ends it. ``host`` makes what listens, from the assignment."""
    text = os.environ.get("PENSTOCK_CODE_HOST")
    if text is None:
        print(f"penstock._{kind}: started by hand? PENSTOCK_CODE_HOST is not set", file=sys.stderr)
        return 2
    assignment = json.loads(text)
    _configure_logging(kind, assignment["deployment"])
    for entry in assignment["sys_path"]:
        if entry not in sys.path:
            sys.path.append(entry)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    native = _core.Loop(own_thread=False)
    _process.adopt(native)
    drive(native, loop)
    listening = host(native, loop, assignment)
    # What the first turn has to do was asked for before anybody watched.
    loop.call_soon(native.run_once)
    try:
        loop.run_forever()
    finally:
        del listening
    return 0
