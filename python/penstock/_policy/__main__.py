"""Entry point: ``python -m penstock._policy``, started by the head's agent."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from penstock import _core
from penstock._code_host import run
from penstock._policy.host import PolicyCode


def _listen(native: _core.Loop, _: asyncio.AbstractEventLoop, assignment: dict[str, Any]) -> object:
    return _core.PolicyHost(native, assignment["socket"], PolicyCode(assignment))


if __name__ == "__main__":
    sys.exit(run("policy", _listen))
