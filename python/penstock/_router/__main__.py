"""Entry point: ``python -m penstock._router``, started by the head's agent."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from penstock import _core
from penstock._code_host import run
from penstock._router.host import RouterCode


def _listen(native: _core.Loop, loop: asyncio.AbstractEventLoop, assignment: dict[str, Any]) -> object:
    code = RouterCode(loop, assignment)
    return _core.RouterHost(native, assignment["socket"], code, code.fifo)


if __name__ == "__main__":
    sys.exit(run("router", _listen))
