"""Entry point: ``python -m penstock._replica``, started by an agent."""

from __future__ import annotations

import asyncio
import os
import sys

from penstock import _core, _process
from penstock._event_loop import drive, new_event_loop
from penstock._replica.host import ReplicaCode
from penstock._replica.logs import ReplicaLog
from penstock._replica.stack import describe_main_thread
from penstock.serve.multiplex import announce_with


def main() -> int:
    """Runs until the agent says stop or is gone."""
    control_fd = os.environ.get("PENSTOCK_CONTROL_FD")
    if control_fd is None:
        print("penstock._replica: started by hand? PENSTOCK_CONTROL_FD is not set", file=sys.stderr)
        return 2
    page_fd = int(os.environ["PENSTOCK_PAGE_FD"])
    for descriptor in (int(control_fd), page_fd):
        os.set_inheritable(descriptor, False)
    log = ReplicaLog()
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    native = _core.Loop(own_thread=False)
    _process.adopt(native)
    drive(native, loop)
    code = ReplicaCode(loop, log)
    host = _core.ReplicaHost(native, int(control_fd), page_fd, code, loop.stop, describe_main_thread)
    announce_with(host.announce_models)
    code.announce_stats = host.announce_stats
    # What the first turn has to do was asked for before anybody watched.
    loop.call_soon(native.run_once)
    loop.run_forever()
    native.run_once()  # the last answer
    announce_with(None)
    code.announce_stats = lambda stats: None
    del host
    code.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
