"""gRPC services as their generated code describes them: methods, types, compiled .proto files.

A servicer function (``add_EchoServicer_to_server``) registers methods at a server; here the server
is one that only writes them down. grpcio and protobuf are the user's: his modules import them.
"""

from __future__ import annotations

import functools
import importlib
import json
import struct
from dataclasses import dataclass
from typing import Any, Callable, Optional

__all__ = ["Rpc", "directory", "rpcs_of"]

_JSON_SIZE = struct.Struct("<I")


@dataclass(frozen=True)
class Rpc:
    """A method of a service."""

    path: str  # "/package.Service/Method"
    servicer: str  # import path of the function that registers it
    client_streams: bool
    server_streams: bool
    parse: Optional[Callable[[bytes], Any]]  # of a request's message; None: its bytes

    @property
    def service(self) -> str:
        """Its full name."""
        return self.path[1:].rpartition("/")[0]


class _Servicer:
    """Has every method, none of which is called."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: None


class _Server:
    """Writes down what is registered."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Any) -> None:
        for generic in generic_rpc_handlers:
            # As Ray Serve does: grpcio has no other way to list what a handler handles.
            self.handlers.update(generic._method_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: dict[str, Any]) -> None:
        self.handlers.update({f"/{service_name}/{name}": handler for name, handler in method_handlers.items()})


def _imported(path: str) -> Callable[[Any, Any], None]:
    """ModuleNotFoundError or ValueError naming the path."""
    module_name, _, name = path.replace(":", ".").rpartition(".")
    if not module_name:
        raise ValueError(f"grpc_servicer_functions: '{path}' should be an import path, module.function")
    try:
        function = getattr(importlib.import_module(module_name), name, None)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"grpc_servicer_functions: '{path}' can't be imported ({error}). Please make sure there are no typos, "
            "and that the service definitions are built anew when a .proto file changed."
        ) from error
    if not callable(function):
        raise ValueError(f"grpc_servicer_functions: '{path}' is not a callable function, it is {function!r}")
    return function  # type: ignore[no-any-return]


@functools.cache
def rpcs_of(servicer: str) -> dict[str, Rpc]:
    """The methods that a servicer function registers, by path. ValueError when it registers none."""
    server = _Server()
    _imported(servicer)(_Servicer(), server)
    if not server.handlers:
        raise ValueError(f"grpc_servicer_functions: '{servicer}' registers no methods")
    return {
        path: Rpc(path, servicer, handler.request_streaming, handler.response_streaming, handler.request_deserializer)
        for path, handler in server.handlers.items()
    }


def directory(servicers: list[str]) -> bytes:
    """What the proxy has to know of these services: a message of the control protocol."""
    rpcs = [rpc for servicer in servicers for rpc in rpcs_of(servicer).values()]
    files = _files({rpc.service for rpc in rpcs})
    methods = [
        {
            "path": rpc.path,
            "servicer": rpc.servicer,
            "client_streams": rpc.client_streams,
            "server_streams": rpc.server_streams,
        }
        for rpc in rpcs
    ]
    listed = [
        {
            "name": name,
            "size": len(file.serialized_pb),
            "imports": [imported.name for imported in file.dependencies],
            "symbols": _symbols(file),
        }
        for name, file in files.items()
    ]
    text = json.dumps({"methods": methods, "files": listed}, sort_keys=True).encode()
    return _JSON_SIZE.pack(len(text)) + text + b"".join(file.serialized_pb for file in files.values())


def _files(services: set[str]) -> dict[str, Any]:
    """The .proto files of services, and those they import. A service made by hand has none."""
    from google.protobuf import descriptor_pool

    files: dict[str, Any] = {}
    wanted = []
    for service in sorted(services):
        try:
            wanted.append(descriptor_pool.Default().FindServiceByName(service).file)
        except KeyError:
            continue
    while wanted:
        file = wanted.pop()
        if file.name not in files:
            files[file.name] = file
            wanted += file.dependencies
    return files


def _symbols(file: Any) -> list[str]:
    """Full names of what a file defines."""
    names = []
    messages = list(file.message_types_by_name.values())
    while messages:
        message = messages.pop()
        names.append(message.full_name)
        names += [enum.full_name for enum in message.enum_types]
        messages += message.nested_types
    names += [enum.full_name for enum in file.enum_types_by_name.values()]
    for service in file.services_by_name.values():
        names.append(service.full_name)
        names += [method.full_name for method in service.methods]
    return names
