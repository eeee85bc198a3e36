"""One application for every server beside which figures of the wire are measured: FastAPI, WebSockets, ticks.

As a program it serves the application with the engine that SERVE_MODULE names, as the kit's own
launcher does: BENCH_APP ("asgi" or "grpc"), BENCH_PORT; `{"ready": true}` on stdout once it serves.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from starlette.responses import PlainTextResponse, StreamingResponse

TICKS = 200
TICK_S = 0.005

api = FastAPI()


@api.get("/")
async def noop() -> PlainTextResponse:
    """The least that an application can do."""
    return PlainTextResponse("ok")


@api.get("/ticks")
async def ticks() -> StreamingResponse:
    """A stream as a language model would make it: a small piece every 5 ms."""

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(TICKS):
            yield b"token %04d xyz\n" % number
            await asyncio.sleep(TICK_S)

    return StreamingResponse(pieces(), media_type="text/plain")


@api.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    """Sends back every message."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


def add_servicer(servicer: Any, server: Any) -> None:
    """A gRPC service as protoc would write it: ``bench.Noop/Call``, a StringValue to a StringValue."""
    import grpc
    from google.protobuf.wrappers_pb2 import StringValue

    call = grpc.unary_unary_rpc_method_handler(
        servicer.Call,
        request_deserializer=StringValue.FromString,
        response_serializer=StringValue.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Noop", {"Call": call}),))


def _application(serve: Any, kind: str) -> Any:
    options: dict[str, Any] = {"max_ongoing_requests": 1000, "ray_actor_options": {"num_cpus": 0.01}}

    @serve.deployment(**options)
    @serve.ingress(api)
    class Asgi:
        pass

    @serve.deployment(**options)
    class Noop:
        async def __call__(self, request: Any) -> str:
            return "ok"

        async def Call(self, message: Any) -> Any:
            return message

    return (Asgi if kind == "asgi" else Noop).bind()


def main() -> None:
    """Serves until stdin ends."""
    name = os.environ.get("SERVE_MODULE", "ray.serve")
    serve = importlib.import_module(name)
    port = int(os.environ["BENCH_PORT"])
    kind = os.environ.get("BENCH_APP", "asgi")
    if name == "ray.serve":
        import ray

        ray.init(address="local", num_cpus=2, _temp_dir="/tmp/rayb", logging_level="ERROR", log_to_driver=False)
    options: dict[str, Any] = {"http_options": {"host": "127.0.0.1", "port": port}}
    if kind == "grpc":
        options["grpc_options"] = {"port": port + 1, "grpc_servicer_functions": ["wire.add_servicer"]}
    serve.start(**options)
    serve.run(_application(serve, kind), name="bench", route_prefix="/")
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.read()
    serve.shutdown()


if __name__ == "__main__":
    main()
