"""The header that names a session, called otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from conftest import Deployer
from instances import Instance, started
from probes import QUICK
from ray import serve
from ray.serve.context import _get_serve_request_context


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with started("--num-cpus", "2", env={**os.environ, "RAY_SERVE_SESSION_ID_HEADER_KEY": "X-Correlation-Id"}) as it:
        yield it


@serve.deployment(**QUICK)
def session() -> str:
    """Of the request."""
    return _get_serve_request_context().session_id


def test_the_session_header_may_be_renamed(deploy: Deployer) -> None:
    app = deploy(session.bind())
    assert app.get(headers={"x-correlation-id": "a", "x-session-id": "b"}).text == "a"
