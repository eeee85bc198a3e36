"""Entry point: ``python -m penstock._router``, started by the head's agent."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys

from penstock import _core, _process
from penstock._event_loop import drive, new_event_loop
from penstock._router.host import RouterCode


def _configure_logging(name: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"%(levelname)s %(asctime)s router {name} -- %(message)s"))
    logger = logging.getLogger("ray.serve")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def main() -> int:
    """Runs until the agent ends it."""
    text = os.environ.get("PENSTOCK_ROUTER")
    if text is None:
        print("penstock._router: started by hand? PENSTOCK_ROUTER is not set", file=sys.stderr)
        return 2
    assignment = json.loads(text)
    _configure_logging(assignment["deployment"])
    for entry in assignment["sys_path"]:
        if entry not in sys.path:
            sys.path.append(entry)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    native = _core.Loop(own_thread=False)
    _process.adopt(native)
    drive(native, loop)
    code = RouterCode(loop, assignment)
    host = _core.RouterHost(native, assignment["socket"], code, code.fifo)
    # What the first turn has to do was asked for before anybody watched.
    loop.call_soon(native.run_once)
    try:
        loop.run_forever()
    finally:
        del host
    return 0


if __name__ == "__main__":
    sys.exit(main())
