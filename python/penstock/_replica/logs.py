"""The replica's log: Ray Serve's lines, as text or JSON, each with the request that it is about.

It goes where the agent sent this process's standard error, and with ``logs_dir`` to a file there
too. Access lines come from the native side (src/replica/telemetry.cc), in the same form.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from logging.handlers import WatchedFileHandler
from typing import Any

from penstock.serve.context import request_context

__all__ = ["ReplicaLog"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "message", "taskName"}
# What JSON lines begin with; what else a record was given follows.
_FIRST = ("asctime", "levelname", "message", "filename", "lineno")


class _Context(logging.Filter):
    """Adds to each record where it comes from, and the request that the code works on."""

    def __init__(self, app: str, deployment: str, replica: str, node: str) -> None:
        super().__init__()
        self._fields = {
            "application": app,
            "deployment": f"{app}_{deployment}",
            "replica": replica,
            "component_name": "replica",
            "node_id": node,
        }

    def filter(self, record: logging.LogRecord) -> bool:
        context = request_context.get()
        if context is not None and context.request_id:
            record.request_id = context.request_id
            record.route = context.route
            if context.multiplexed_model_id:
                record.multiplexed_model_id = context.multiplexed_model_id
        record.__dict__.update(self._fields)
        return True


class _TextFormatter(logging.Formatter):
    """``LEVEL time component id [request] [attributes] -- message``."""

    def __init__(self, attributes: list[str]) -> None:
        super().__init__()
        self._attributes = attributes

    def usesTime(self) -> bool:
        return True

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = record.__dict__
        parts = [record.levelname, record.asctime, fields.get("deployment", "replica"), fields.get("replica", "-")]
        if "request_id" in fields:
            parts.append(fields["request_id"])
        if "multiplexed_model_id" in fields:
            parts.append(f"model={fields['multiplexed_model_id']}")
        parts += [str(fields.get(name)) for name in self._attributes]
        return " ".join(parts) + f" -- {record.message}"


class _JsonFormatter(logging.Formatter):
    """One object a line."""

    def __init__(self, attributes: list[str]) -> None:
        super().__init__()
        self._attributes = attributes

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        record.asctime = self.formatTime(record)
        fields = record.__dict__
        line = {name: fields[name] for name in _FIRST}
        line.update((name, fields.get(name)) for name in self._attributes)
        line.update((name, value) for name, value in fields.items() if name not in _STANDARD)
        if record.exc_info:
            line["exc_text"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack_info"] = self.formatStack(record.stack_info)
        line["timestamp_ns"] = int(record.created * 1e9)
        return json.dumps(line, default=str)


class ReplicaLog:
    """The handlers of the logger ``ray.serve``."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("ray.serve")
        self._logger.propagate = False
        self._filters: list[logging.Filter] = []
        self._path = ""
        self._handlers = list(self._logger.handlers)  # the driver's, which an import has set up
        self._use([logging.StreamHandler(sys.stderr)], _TextFormatter([]))
        self._logger.setLevel(logging.INFO)

    def begin(self, assignment: dict[str, Any]) -> None:
        """This process is a replica now, and logs as its deployment is configured."""
        replica = assignment["replica"]
        context = _Context(replica["app"], replica["deployment"], replica["unique"], assignment["node"]["id"])
        self._filters = [context]
        self._logger.addFilter(context)  # for handlers that user code adds
        self._path = assignment["log"]
        self.configure(assignment["logging"])

    def configure(self, config: dict[str, Any]) -> None:
        """Logs in another way from now on. OSError when the folder cannot be written to."""
        handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
        if config["logs_dir"]:
            path = os.path.join(config["logs_dir"], os.path.basename(self._path))
            # Watched: the native side, which writes there too, begins a new file when it is large.
            handlers.append(WatchedFileHandler(path))
        formatter = _JsonFormatter if config["json"] else _TextFormatter
        self._use(handlers, formatter(config["additional_log_standard_attrs"]))
        self._logger.setLevel(config["log_level"])

    def _use(self, handlers: list[logging.Handler], formatter: logging.Formatter) -> None:
        for handler in handlers:
            handler.setFormatter(formatter)
            for each in self._filters:
                handler.addFilter(each)
            self._logger.addHandler(handler)
        before, self._handlers = self._handlers, handlers
        for handler in before:
            self._logger.removeHandler(handler)
            handler.close()
