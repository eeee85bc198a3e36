"""What the main thread is doing, in words: for the agent, when the event loop does not turn."""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
import traceback
from types import FrameType
from typing import Optional

__all__ = ["describe_main_thread"]

_MOST_FRAMES = 6
_LIBRARIES = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def _is_users(frame: traceback.FrameSummary) -> bool:
    return not frame.filename.startswith((*_LIBRARIES, "<frozen"))


def _words(frame: traceback.FrameSummary) -> str:
    return f"{frame.name} ({frame.filename}:{frame.lineno})"


def describe_main_thread() -> str:
    """``predict (model.py:12), called by ...``: from the user's innermost function outwards."""
    main = threading.main_thread().ident
    frame: Optional[FrameType] = sys._current_frames().get(main or 0)
    frames = traceback.extract_stack(frame)[::-1] if frame is not None else []
    first = next((at for at, each in enumerate(frames) if _is_users(each)), 0)
    users = [each for each in frames[first:] if _is_users(each)] or list(frames[:1])
    return ", called by ".join(_words(each) for each in users[:_MOST_FRAMES])
