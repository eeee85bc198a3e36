"""The proxy over TLS, with other implementations as its clients."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
import requests
import trustme
from conftest import Deployer
from cryptography.hazmat.primitives import serialization
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from instances import Instance, embedded, environment, free_port, own_home, processes_of, run_script
from probes import QUICK
from ray import serve
from ray.serve.config import HTTPOptions
from websockets.sync.client import connect

PASSWORD = "open sesame"
MEGABYTES = 30


class Files:
    """An authority's certificate and a server's, on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        server = self.authority.issue_cert("localhost", "127.0.0.1")
        self.ca = self._write("ca.pem", self.authority.cert_pem.bytes())
        self.certificate = self._write("cert.pem", *(blob.bytes() for blob in server.cert_chain_pems))
        plain = server.private_key_pem.bytes()
        self.key = self._write("key.pem", plain)
        key = serialization.load_pem_private_key(plain, None)
        self.encrypted_key = self._write(
            "encrypted.pem",
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(PASSWORD.encode()),
            ),
        )

    def _write(self, name: str, *content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(b"".join(content))
        return str(path)

    def client(self, authority: Optional[trustme.CA] = None) -> str:
        """A client's certificate and key, in one file."""
        issued = (authority or self.authority).issue_cert("client@example.org")
        return self._write("client.pem", issued.private_key_and_cert_chain_pem.bytes())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def instance(files: Files) -> Iterator[Instance]:
    options = {
        "ssl_keyfile": files.encrypted_key,
        "ssl_keyfile_password": PASSWORD,
        "ssl_certfile": files.certificate,
    }
    with embedded(http_options=options, num_cpus=8) as running:
        yield running


app = FastAPI()


@serve.deployment(**QUICK)
@serve.ingress(app)
class Secure:
    @app.get("/scheme")
    def scheme(self, request: Request) -> list[str]:
        return [request.scope["scheme"], str(request.url)]

    @app.websocket("/scheme")
    async def ws_scheme(self, ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text(ws.scope["scheme"])
        while True:
            await ws.send_bytes(await ws.receive_bytes())

    @app.get("/stream")
    def stream(self) -> StreamingResponse:
        return StreamingResponse(bytes([n % 256]) * (1 << 20) for n in range(MEGABYTES))

    @app.post("/digest")
    async def digest(self, request: Request) -> str:
        return hashlib.sha256(await request.body()).hexdigest()


@pytest.fixture(scope="module")
def secure(instance: Instance) -> Iterator[str]:
    deployer = Deployer(instance)
    deployed = deployer(Secure.bind())
    yield f"https://localhost:{instance.http_port}/{deployed.name}"
    deployer.delete_all()


def test_the_application_sees_https(secure: str, files: Files) -> None:
    reply = requests.get(f"{secure}/scheme", verify=files.ca, timeout=20)
    assert reply.json() == ["https", f"{secure}/scheme"]


def test_a_client_that_trusts_another_authority_refuses(secure: str, tmp_path: Path) -> None:
    stranger = Files(tmp_path)
    with pytest.raises(requests.exceptions.SSLError, match="certificate verify failed"):
        requests.get(f"{secure}/scheme", verify=stranger.ca, timeout=20)


def test_websockets(secure: str, files: Files) -> None:
    trusting = ssl.create_default_context(cafile=files.ca)
    with connect(secure.replace("https", "wss", 1) + "/scheme", ssl=trusting) as ws:
        assert ws.recv(timeout=20) == "wss"
        for message in (b"", b"x" * 300_000, b"y" * 900_000):
            ws.send(message)
            assert ws.recv(timeout=20) == message


def test_large_bodies_both_ways(secure: str, files: Files) -> None:
    with requests.get(f"{secure}/stream", verify=files.ca, timeout=60, stream=True) as reply:
        digest = hashlib.sha256()
        for piece in reply.iter_content(1 << 16):
            digest.update(piece)
    expected = hashlib.sha256(b"".join(bytes([n % 256]) * (1 << 20) for n in range(MEGABYTES)))
    assert digest.hexdigest() == expected.hexdigest()
    body = os.urandom(MEGABYTES << 20)
    told = requests.post(f"{secure}/digest", data=body, verify=files.ca, timeout=60).json()
    assert told == hashlib.sha256(body).hexdigest()


@pytest.mark.usefixtures("secure")
def test_the_password_is_in_no_command_line() -> None:
    commands = processes_of(os.environ["PENSTOCK_HOME"]).values()
    assert any("penstock proxy" in command for command in commands)
    assert not any(PASSWORD in command for command in commands)


def _bad(files: Files) -> list[tuple[str, dict[str, Any]]]:
    good = {"ssl_keyfile": files.key, "ssl_certfile": files.certificate}
    missing = str(files.folder / "missing.pem")
    stranger = files._write("stranger.pem", trustme.CA().issue_cert("localhost").private_key_pem.bytes())
    return [
        ("ssl_certfile: cannot read", {**good, "ssl_certfile": missing}),
        ("ssl_certfile: the file .* holds no certificate", {**good, "ssl_certfile": files.key}),
        ("ssl_certfile: needs ssl_keyfile", {"ssl_certfile": files.certificate}),
        ("ssl_keyfile: cannot read", {**good, "ssl_keyfile": missing}),
        ("ssl_keyfile: the file .* holds no private key", {**good, "ssl_keyfile": files.certificate}),
        ("ssl_keyfile: the file .* is not the key of", {**good, "ssl_keyfile": stranger}),
        ("ssl_keyfile: needs ssl_certfile", {"ssl_keyfile": files.key}),
        ("ssl_keyfile_password: .* it is needed", {**good, "ssl_keyfile": files.encrypted_key}),
        (
            "ssl_keyfile_password: .* does not open it",
            {**good, "ssl_keyfile": files.encrypted_key, "ssl_keyfile_password": "wrong"},
        ),
        ("ssl_ca_certs: cannot read", {**good, "ssl_ca_certs": missing}),
    ]


def test_files_that_cannot_serve_are_refused_by_name_and_nothing_stays(files: Files) -> None:
    script = f"""
import re
from ray import serve
from penstock import _instance
port = {free_port()}
for words, options in {_bad(files)!r}:
    try:
        serve.start(http_options={{"port": port, **options}})
    except ValueError as error:
        assert re.search("http_options." + words, str(error)), (words, str(error))
    else:
        raise AssertionError(words)
    assert _instance.current() is None, words
serve.start(http_options={{"port": port, "ssl_keyfile": "key.pem", "ssl_certfile": "cert.pem"}})
print("started")
"""
    with own_home() as home:
        done = run_script(files.folder, script, env=environment(PENSTOCK_HOME=home))
    assert done.stdout == "started\n"


CLIENTS = """
import requests
from ray import serve

@serve.deployment
def hello() -> str:
    return "hello"

serve.start(http_options={options!r})
serve.run(hello.bind())
url = "https://localhost:{port}/"
print(requests.get(url, verify={ca!r}, cert={client!r}, timeout=20).text)
for cert in (None, {stranger!r}):
    try:
        requests.get(url, verify={ca!r}, cert=cert, timeout=20)
    except requests.exceptions.ConnectionError:  # SSLError is one
        print("refused")
print(requests.get(url, verify={ca!r}, cert={client!r}, timeout=20).text)
"""


def test_with_ssl_ca_certs_clients_need_a_certificate(files: Files, tmp_path: Path) -> None:
    port = free_port()
    options = {
        "port": port,
        "ssl_keyfile": files.key,
        "ssl_certfile": files.certificate,
        "ssl_ca_certs": files.ca,
    }
    (tmp_path / "stranger").mkdir()
    script = CLIENTS.format(
        options=options,
        port=port,
        ca=files.ca,
        client=files.client(),
        stranger=Files(tmp_path / "stranger").client(),
    )
    with own_home() as home:
        done = run_script(tmp_path, script, env=environment(PENSTOCK_HOME=home))
    assert done.stdout.split() == ["hello", "refused", "refused", "hello"]


def test_the_options_object_checks_as_ray_serve_does() -> None:
    assert HTTPOptions(ssl_keyfile="/key").ssl_keyfile == "/key"
    with pytest.raises(ValueError, match="ssl_certfile: needs ssl_keyfile beside it"):
        HTTPOptions(ssl_certfile="/cert")
