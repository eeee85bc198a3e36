"""The end of a replica: every step is done, whatever became of the one before."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Deployer
from fastapi import FastAPI
from instances import Instance, embedded
from probes import QUICK
from ray import serve


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=4) as running:
        yield running


def note(diary: str, what: str) -> None:
    """Adds a line; replicas write there too."""
    with open(diary, "a") as file:
        file.write(what + "\n")


def ending(deploy: Deployer, target: Any, diary: Path, calls: bool = False) -> list[str]:
    """What is in the diary when the application has been deleted."""
    app = deploy(target)
    if calls:
        app.handle.options(multiplexed_model_id="m").remote().result()
    serve.delete(app.name)
    return diary.read_text().splitlines() if diary.exists() else []


def test_an_inherited_farewell_is_said_once_and_models_are_unloaded(deploy: Deployer, tmp_path: Path) -> None:
    class Polite:
        diary = str(tmp_path / "diary")

        def __del__(self) -> None:
            note(self.diary, f"farewell of {type(self).__name__}")

    class Model(Polite):
        pass

    @serve.deployment(**QUICK)
    class Heir(Polite):
        @serve.multiplexed()
        async def load(self, model_id: str) -> Any:
            return Model()

        async def __call__(self) -> None:
            await self.load(serve.get_multiplexed_model_id())

    said = ending(deploy, Heir.bind(), tmp_path / "diary", calls=True)
    assert said == ["farewell of Heir", "farewell of Model"]


def test_an_async_farewell_is_waited_for(deploy: Deployer, tmp_path: Path) -> None:
    @serve.deployment(**QUICK)
    class Late:
        diary = str(tmp_path / "diary")

        async def __del__(self) -> None:
            note(self.diary, "said")

        def __call__(self) -> None: ...

    assert ending(deploy, Late.bind(), tmp_path / "diary") == ["said"]


def test_a_farewell_that_raises_does_not_keep_the_models(deploy: Deployer, tmp_path: Path) -> None:
    class Model:
        diary = str(tmp_path / "diary")

        def __del__(self) -> None:
            note(self.diary, "unloaded")

    @serve.deployment(**QUICK)
    class Rude:
        @serve.multiplexed()
        async def load(self, model_id: str) -> Any:
            return Model()

        async def __call__(self) -> None:
            await self.load(serve.get_multiplexed_model_id())

        def __del__(self) -> None:
            raise ValueError("not like this")

    assert ending(deploy, Rude.bind(), tmp_path / "diary", calls=True) == ["unloaded"]


def test_a_lifespan_that_ends_badly_does_not_keep_the_farewell(deploy: Deployer, tmp_path: Path) -> None:
    diary = str(tmp_path / "diary")

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        note(diary, "lifespan ends")
        raise RuntimeError("badly")

    app = FastAPI(lifespan=lifespan)

    @serve.deployment(**QUICK)
    @serve.ingress(app)
    class Shop:
        @app.get("/")
        def root(self) -> str:
            return "open"

        def __del__(self) -> None:
            note(diary, "farewell")

    assert ending(deploy, Shop.bind(), tmp_path / "diary") == ["lifespan ends", "farewell"]
