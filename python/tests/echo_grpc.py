"""A gRPC service as protoc and grpcio-tools would generate it, made from its description by hand."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "tests.Echo"

_KINDS = {"One": (False, False), "Out": (False, True), "In": (True, False), "Both": (True, True)}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="tests/echo.proto", package="tests", syntax="proto3")
    text = file.message_type.add(name="Text")
    text.field.add(name="value", number=1, type=9, label=1)
    service = file.service.add(name="Echo")
    for name, (client_streams, server_streams) in _KINDS.items():
        service.method.add(
            name=name,
            input_type=".tests.Text",
            output_type=".tests.Text",
            client_streaming=client_streams,
            server_streaming=server_streams,
        )
    return file


descriptor_pool.Default().Add(_file())
Text: Any = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName("tests.Text"))

_HANDLERS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def add_EchoServicer_to_server(servicer: Any, server: Any) -> None:
    handlers = {
        name: _HANDLERS[kind](
            getattr(servicer, name), request_deserializer=Text.FromString, response_serializer=Text.SerializeToString
        )
        for name, kind in _KINDS.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_registered_method_handlers(SERVICE, handlers)


class EchoStub:
    def __init__(self, channel: grpc.Channel) -> None:
        makers = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, False): channel.stream_unary,
            (True, True): channel.stream_stream,
        }
        for name, kind in _KINDS.items():
            call = makers[kind](
                f"/{SERVICE}/{name}", request_serializer=Text.SerializeToString, response_deserializer=Text.FromString
            )
            setattr(self, name, call)
