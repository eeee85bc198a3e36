"""Request routers: Serve's own, and those that users write; session ids; options of handles."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from conftest import App, Deployer
from instances import Instance, processes_of, started
from probes import QUICK
from ray import serve
from ray.serve.config import RequestRouterConfig
from ray.serve.context import _get_serve_request_context
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.request_router import (
    ConsistentHashRouter,
    FIFOMixin,
    LocalityMixin,
    MultiplexMixin,
    PendingRequest,
    PowerOfTwoChoicesRequestRouter,
    ReplicaID,
    ReplicaResult,
    RequestMetadata,
    RequestRouter,
    RoundRobinRouter,
    RunningReplica,
)
from starlette.requests import Request
from waiting import wait_until

from penstock import _instance
from penstock._build import build
from penstock.serve.context import DeploymentID
from penstock.serve.handle import _HandleOptions
from penstock.serve.request_router._router import Caller, asking

ROUND_ROBIN = "ray.serve.experimental.round_robin_router:RoundRobinRouter"
CONSISTENT_HASH = "ray.serve.experimental.consistent_hash_router:ConsistentHashRouter"


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with started("--num-cpus", "16") as running:
        yield running


def router_of(app: App, deployment: str) -> dict[int, str]:
    """The processes of custom routers; the deployment's is told by its variables."""
    found = {}
    for pid, command in processes_of(os.environ["PENSTOCK_HOME"]).items():
        if "penstock._router" not in command:
            continue
        variables = Path(f"/proc/{pid}/environ").read_bytes()
        if f'"app":"{app.name}"'.encode() in variables and f'"deployment":"{deployment}"'.encode() in variables:
            found[pid] = command
    return found


@serve.deployment(num_replicas=3, **QUICK)
class Who:
    """Says which replica answers, and for which session."""

    def __init__(self) -> None:
        self._id = serve.get_replica_context().replica_id.unique_id
        self._load = 0

    async def __call__(self, request: Any = None) -> list[str]:
        """Over HTTP or through a handle."""
        return [self._id, _get_serve_request_context().session_id]

    async def named(self, *args: Any, **kwargs: Any) -> str:
        """Who answers."""
        return self._id

    async def set_load(self, load: int) -> str:
        """What routers are to hear."""
        self._load = load
        return self._id

    def record_routing_stats(self) -> dict[str, Any]:
        """For routers."""
        return {"load": self._load}

    def record_replica_metadata(self) -> dict[str, Any]:
        """For routers, once."""
        return {"name": "replica " + self._id}


def ids(app: App) -> list[str]:
    """Of the replicas, in order."""
    return sorted(row["replica_id"] for row in app.details("Who")["replicas"] if row["state"] == "RUNNING")


def set_load(app: App, replica: str, load: int) -> str:
    """Tells one replica, past every router."""
    wait_until(app.handle.running_replicas_populated, "replicas are known")
    answer: str = app.handle._with(_HandleOptions(method_name="set_load", replica=replica)).remote(load).result()
    return answer


class ByPlace(RequestRouter):
    """The replica whose place in the order of ids the request names."""

    def initialize_state(self, shift: int = 0) -> None:
        """Moves every place."""
        self._shift = shift

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: Optional[PendingRequest] = None
    ) -> list[list[RunningReplica]]:
        """By the first argument, or the header."""
        assert pending_request is not None
        first = pending_request.args[0]
        if pending_request.metadata.is_http_request:
            first = dict(first.asgi_scope["headers"])[b"x-place"]
        ordered = sorted(candidate_replicas, key=lambda replica: replica.replica_id.unique_id)
        return [[ordered[(int(first) + self._shift) % len(ordered)]]]


def by_place(shift: int = 0) -> RequestRouterConfig:
    return RequestRouterConfig(request_router_class=ByPlace, request_router_kwargs={"shift": shift})


# ---- routers that users write ----


def test_a_router_of_ones_own_works_for_handles_and_over_http(deploy: Deployer) -> None:
    app = deploy(Who.options(request_router_config=by_place(shift=1)).bind())
    order = ids(app)
    for place in (0, 2, 1, 1, 0):
        expected = order[(place + 1) % 3]
        assert app.handle.named.remote(place).result() == expected
        assert app.get(headers={"x-place": str(place)}).json()[0] == expected
    assert len(router_of(app, "Who")) == 1
    # Beyond what travels in one frame.
    assert app.handle.named.remote(2, "x" * 300_000).result() == order[0]


def test_a_class_that_only_this_process_has(deploy: Deployer) -> None:
    least: list[str] = ["min"]

    class Local(FIFOMixin, RequestRouter):
        async def choose_replicas(
            self, candidate_replicas: list[RunningReplica], pending_request: Optional[PendingRequest] = None
        ) -> list[list[RunningReplica]]:
            choose = {"min": min, "max": max}[least[0]]
            return [[choose(candidate_replicas, key=lambda replica: replica.replica_id.unique_id)]]

    app = deploy(Who.options(request_router_config={"request_router_class": Local}).bind())
    assert {app.handle.named.remote().result() for _ in range(5)} == {ids(app)[0]}


class Diary(PowerOfTwoChoicesRequestRouter):
    """Writes down what it is told."""

    def initialize_state(self, path: str) -> None:  # type: ignore[override]
        """Where to."""
        self._path = Path(path)

    def _write(self, line: str) -> None:
        with self._path.open("a") as file:
            file.write(line + "\n")

    def update_replicas(self, running_replicas: list[RunningReplica]) -> None:
        """How many."""
        super().update_replicas(running_replicas)
        assert set(self.curr_replicas.values()) == set(running_replicas)
        self._write(f"replicas {len(running_replicas)}")

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: ReplicaResult) -> None:
        """Where to."""
        assert result.replica_id == replica_id
        metadata = pending_request.metadata
        self._write(f"routed {metadata.call_method} {metadata.internal_request_id} {replica_id.unique_id}")

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """Which."""
        self._write(f"completed {internal_request_id} {replica_id.unique_id}")

    def on_replica_actor_unavailable(self, replica_id: ReplicaID) -> None:
        """Which."""
        self._write(f"unavailable {replica_id.unique_id}")

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        """Which."""
        self._write(f"died {replica_id.unique_id}")


def test_a_router_is_told_what_becomes_of_requests(deploy: Deployer, tmp_path: Path) -> None:
    path = tmp_path / "diary"
    config = RequestRouterConfig(request_router_class=Diary, request_router_kwargs={"path": str(path)})
    app = deploy(Who.options(request_router_config=config).bind())
    who = app.handle.named.remote().result()
    lines = wait_until(lambda: [line for line in path.read_text().splitlines() if line.startswith("comp")], "the end")
    assert lines[0].split()[2] == who
    routed = [line.split() for line in path.read_text().splitlines() if line.startswith("routed")]
    assert [(words[1], words[3]) for words in routed] == [("named", who)]
    assert routed[0][2] == lines[0].split()[1]
    assert "replicas 3" in path.read_text()
    victim = app.details("Who")["replicas"][0]
    os.kill(victim["pid"], signal.SIGKILL)
    wait_until(lambda: f"died {victim['replica_id']}" in path.read_text(), "the router hears of a death")
    assert f"unavailable {victim['replica_id']}" in path.read_text()


class ByStats(RequestRouter):
    """The replica with the largest load."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: Optional[PendingRequest] = None
    ) -> list[list[RunningReplica]]:
        """Which must have told its name, too."""
        for replica in candidate_replicas:
            assert replica.replica_metadata == {"name": "replica " + replica.replica_id.unique_id}
            assert replica.max_ongoing_requests == 5
        return [[max(candidate_replicas, key=lambda replica: replica.routing_stats.get("load", 0))]]


def test_what_replicas_record_reaches_the_router(deploy: Deployer) -> None:
    config = {"request_router_class": ByStats, "request_routing_stats_period_s": 0.05}
    app = deploy(Who.options(request_router_config=config).bind())
    loads = dict(zip(ids(app), (3, 9, 5)))
    for replica, load in loads.items():
        assert set_load(app, replica, load) == replica
    wait_until(lambda: app.handle.named.remote().result() == ids(app)[1], "the stats have arrived")
    assert {app.handle.named.remote().result() for _ in range(5)} == {ids(app)[1]}


class Raises(RequestRouter):
    """Is broken."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: Optional[PendingRequest] = None
    ) -> list[list[RunningReplica]]:
        """Never."""
        raise ZeroDivisionError("on purpose")


class Unmakeable(Raises):
    """Cannot even be made."""

    def initialize_state(self, **kwargs: Any) -> None:
        """Fails."""
        raise LookupError("not to be had")


class Nonsense(Raises):
    """Answers nonsense."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: Optional[PendingRequest] = None
    ) -> list[list[RunningReplica]]:
        """No list of lists."""
        return candidate_replicas  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("router", "words"),
    [(Raises, "on purpose"), (Unmakeable, "not to be had"), (Nonsense, "must return a list of lists")],
)
def test_a_router_that_fails_fails_the_request(deploy: Deployer, router: type, words: str) -> None:
    app = deploy(Who.options(request_router_config={"request_router_class": router}).bind())
    with pytest.raises(RayServeException, match=words):
        app.handle.named.remote().result()
    assert app.get().status_code == 500


def test_a_router_that_dies_is_started_again(deploy: Deployer) -> None:
    app = deploy(Who.options(request_router_config=by_place()).bind())
    assert app.handle.named.remote(1).result() == ids(app)[1]
    (pid,) = router_of(app, "Who")
    os.kill(pid, signal.SIGKILL)
    assert app.handle.named.remote(2).result() == ids(app)[2]
    assert pid not in router_of(app, "Who")


def test_its_process_ends_with_the_deployment(deploy: Deployer) -> None:
    app = deploy(Who.options(request_router_config=by_place()).bind())
    assert app.handle.named.remote(0).result()
    serve.delete(app.name)
    wait_until(lambda: not router_of(app, "Who"), "the router has ended")


def redeploy(app: App, **options: Any) -> None:
    """As a config file does: the code is the same, whatever its options are."""
    current = _instance.current()
    assert current is not None
    built = build(Who.options(**options).bind(), app.name, f"/{app.name}", {}, current.folder)
    params, blob = built.request()
    for deployment in params["deployments"]:
        deployment["code_version"] = "v1"
    _instance.call("serve.deploy", params, blob)
    _instance.call("serve.wait", {"app": app.name, "until": "running"})


def test_routers_are_changed_while_replicas_run(deploy: Deployer, instance: Instance) -> None:
    name = deploy.name()
    app = App(instance, name, DeploymentHandle("Who", name))
    redeploy(app, request_router_config={"request_router_class": ROUND_ROBIN})
    replicas = ids(app)
    assert Counter(app.handle.named.remote().result() for _ in range(6)) == dict.fromkeys(replicas, 2)
    redeploy(app, request_router_config=by_place(shift=1))
    wait_until(lambda: {app.handle.named.remote(0).result() for _ in range(3)} == {replicas[1]}, "it is asked")
    redeploy(app, request_router_config=by_place(shift=2))
    wait_until(lambda: {app.handle.named.remote(0).result() for _ in range(3)} == {replicas[2]}, "the new one is asked")
    wait_until(lambda: len(router_of(app, "Who")) == 1, "the old one has ended")
    seldom = {"request_router_class": ByStats, "request_routing_stats_period_s": 1000}
    redeploy(app, request_router_config=seldom)
    assert set_load(app, replicas[1], 9) == replicas[1]
    redeploy(app, request_router_config={**seldom, "request_routing_stats_period_s": 0.05})
    wait_until(lambda: {app.handle.named.remote().result() for _ in range(5)} == {replicas[1]}, "stats come often")
    redeploy(app, request_router_config={"request_router_class": CONSISTENT_HASH})
    sessions = app.handle.options(session_id="s")
    wait_until(lambda: len({sessions.named.remote().result() for _ in range(9)}) == 1, "sessions stay")
    wait_until(lambda: not router_of(app, "Who"), "no custom router is left")
    assert ids(app) == replicas


class SlowForSome(FIFOMixin, RequestRouter):
    """Never comes to an end about some requests."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: Optional[PendingRequest] = None
    ) -> list[list[RunningReplica]]:
        """Everybody."""
        assert pending_request is not None
        if pending_request.args[0] == "slow":
            await asyncio.Event().wait()
        return [candidate_replicas]


def test_who_waits_for_an_answer_about_a_request_that_is_over_asks_anew(deploy: Deployer) -> None:
    app = deploy(Who.options(request_router_config={"request_router_class": SlowForSome}).bind())
    slow = app.handle.named.remote("slow")
    # Its answer serves the one before, and what is under way about that one is now its own.
    quick = app.handle.named.remote("quick")
    assert slow.result(timeout_s=30) in ids(app)
    assert quick.result(timeout_s=30) in ids(app)


class Stubborn(RequestRouter):
    """Names one replica first and another as fallback."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: Optional[PendingRequest] = None
    ) -> list[list[RunningReplica]]:
        """In the order of ids, but for the last."""
        ordered = sorted(candidate_replicas, key=lambda replica: replica.replica_id.unique_id)
        assert self.select_available_replicas(ordered)
        return [[replica] for replica in ordered[:2]]


@serve.deployment(num_replicas=3, max_ongoing_requests=1, **QUICK)
class Busy:
    """Holds requests until it is told."""

    def __init__(self) -> None:
        self._id = serve.get_replica_context().replica_id.unique_id
        self._go = asyncio.Event()

    async def hold(self) -> str:
        """Until ``release``."""
        await self._go.wait()
        return self._id

    async def release(self) -> None:
        """Lets everybody go."""
        self._go.set()


def test_who_is_full_is_passed_over_for_the_fallback_and_then_waited_for(deploy: Deployer) -> None:
    app = deploy(Busy.options(request_router_config={"request_router_class": Stubborn}).bind(), route_prefix=None)
    held = [app.handle.hold.remote() for _ in range(3)]
    order = sorted(row["replica_id"] for row in app.details("Busy")["replicas"])
    with pytest.raises(TimeoutError):
        held[2].result(timeout_s=0.3)  # the third replica is free, but not named
    app.handle.broadcast("release").results()
    assert sorted({call.result() for call in held}) == order[:2]


# ---- what choose_replica is given ----


def test_choose_replica_shows_its_arguments_and_dispatch_has_its_own(deploy: Deployer) -> None:
    app = deploy(Who.options(request_router_config=by_place()).bind())

    async def go() -> None:
        for place in (2, 0, 1):
            async with app.handle.named.choose_replica(place) as selection:
                assert selection.replica_id == ids(app)[place]
                # The method and the options are those of the handle that dispatches.
                session = app.handle.options(session_id="later")
                assert await session.dispatch(selection) == [selection.replica_id, "later"]

    asyncio.run(go())


# ---- Serve's own routers ----


def test_round_robin_goes_round(deploy: Deployer) -> None:
    app = deploy(Who.options(request_router_config={"request_router_class": ROUND_ROBIN}).bind())
    assert Counter(app.handle.named.remote().result() for _ in range(9)) == dict.fromkeys(ids(app), 3)
    assert Counter(app.get().json()[0] for _ in range(9)) == dict.fromkeys(ids(app), 3)


def test_a_session_stays_where_it_is(deploy: Deployer) -> None:
    config = RequestRouterConfig(
        request_router_class=ConsistentHashRouter, request_router_kwargs={"num_virtual_nodes": 50}
    )
    app = deploy(Who.options(request_router_config=config).bind())
    homes = {}
    for session in map(str, range(20)):
        over_http = {tuple(app.get(headers={"X-Session-Id": session}).json()) for _ in range(3)}
        by_handle = {tuple(app.handle.options(session_id=session).remote().result()) for _ in range(3)}
        assert over_http == by_handle  # every process has the same ring
        ((homes[session], told),) = over_http
        assert told == session
    assert set(homes.values()) == set(ids(app))
    assert len({app.handle.named.remote().result() for _ in range(60)}) == 3  # without one: spread
    assert not router_of(app, "Who")


def test_the_session_header_is_written_in_either_way(deploy: Deployer) -> None:
    app = deploy(Who.bind())
    assert app.get(headers={"x_session_id": "a"}).json()[1] == "a"
    assert app.get().json()[1] == ""
    assert app.handle.remote().result()[1] == ""


# ---- the options of handles ----


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("method_name", 1),
        ("multiplexed_model_id", 1),
        ("session_id", 1),
        ("stream", "yes"),
        ("_prefer_local_routing", "yes"),
        ("_by_reference", 0),
    ],
)
def test_options_of_the_wrong_type_are_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(TypeError, match=option):
        DeploymentHandle("d", "a").options(**{option: value})


def test_options_that_do_not_exist_or_are_not_there_yet() -> None:
    handle = DeploymentHandle("d", "a")
    with pytest.raises(TypeError):
        handle.options(use_new_handle_api=True)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=r"request_serialization must be one of cloudpickle, .* got 'json'"):
        handle.options(request_serialization="json")
    with pytest.raises(NotImplementedError, match="response_serialization='orjson'"):
        handle.options(response_serialization="orjson", _by_reference=False)


def test_a_handle_is_initialized_by_its_first_use() -> None:
    handle = DeploymentHandle("d", "a")
    assert not handle.is_initialized
    handle._init(_prefer_local_routing=True)
    assert handle.is_initialized
    assert handle._options.near
    with pytest.raises(RuntimeError, match="already been initialized"):
        handle._init()
    used = DeploymentHandle("d", "a")
    derived = used.options(stream=True)
    assert used.is_initialized
    assert derived.is_initialized
    with pytest.raises(RuntimeError, match="already been initialized"):
        used._init()
    assert derived.handle_id == used.handle_id != handle.handle_id


def test_local_replicas_are_preferred_when_that_is_wanted(deploy: Deployer, instance: Instance) -> None:
    node = instance.add_node("--num-cpus=4", "--resources", '{"far": 1}')
    try:
        near = {"num_replicas": 2, "max_replicas_per_node": 1}
        app = deploy(Who.options(**near).bind())
        where = {row["replica_id"]: row["node_id"] for row in app.details("Who")["replicas"]}
        here = [replica for replica, place in where.items() if place != node.id]
        assert len(here) == 1
        local = app.handle.options(_prefer_local_routing=True)
        assert {local.named.remote().result() for _ in range(20)} == set(here)
        assert {app.handle.named.remote().result() for _ in range(40)} == set(where)
    finally:
        deploy.delete_all()
        instance.end_node(node)


# ---- definitions ----


def test_a_class_that_cannot_be_imported_is_refused_at_once() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        RequestRouterConfig(request_router_class="no_such_module:Router")
    with pytest.raises(ModuleNotFoundError, match="NoSuchRouter"):
        Who.options(request_router_config={"request_router_class": __name__ + ":NoSuchRouter"})
    with pytest.raises(TypeError, match="choose_replicas"):
        RequestRouterConfig(request_router_class=Request)
    with pytest.raises(TypeError, match="JSON serializable"):
        RequestRouterConfig(request_router_kwargs={"f": object()})
    with pytest.raises(ValueError, match="num_virtual_nodes"):
        Who.options(
            request_router_config={
                "request_router_class": CONSISTENT_HASH,
                "request_router_kwargs": {"num_virtual_nodes": 0},
            }
        )


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("ray.serve.request_router", ["RequestRouter", "FIFOMixin", "PendingRequest", "ReplicaID", "ReplicaResult"]),
        ("ray.serve._private.request_router", ["PowerOfTwoChoicesRequestRouter", "RunningReplica"]),
        ("ray.serve._private.request_router.request_router", ["LocalityMixin", "MultiplexMixin"]),
        ("ray.serve._private.request_router.common", ["PendingRequest"]),
        ("ray.serve._private.request_router.pow_2_router", ["PowerOfTwoChoicesRequestRouter"]),
        ("ray.serve._private.request_router.replica_wrapper", ["RunningReplica"]),
        ("ray.serve._private.common", ["DeploymentID", "ReplicaID", "RequestMetadata"]),
        ("ray.serve._private.replica_result", ["ReplicaResult"]),
        ("ray.serve.experimental.round_robin_router", ["RoundRobinRouter"]),
        ("ray.serve.experimental.consistent_hash_router", ["ConsistentHashRouter"]),
        ("ray.serve.context", ["_get_internal_replica_context", "_get_serve_request_context"]),
    ],
)
def test_import_paths_of_ray_serve(module: str, names: list[str]) -> None:
    found = importlib.import_module(module)
    for name in names:
        assert hasattr(found, name), name


# ---- the parts, alone ----

WHERE = DeploymentID("d", "a")


def replica(name: str, node: str = "n", models: Optional[set[str]] = None) -> RunningReplica:
    made = RunningReplica(ReplicaID(name, WHERE), node)
    made.multiplexed_model_ids = models or set()
    return made


def pending(**metadata: str) -> PendingRequest:
    return PendingRequest(RequestMetadata(request_id="r", internal_request_id="i", **metadata))  # type: ignore[arg-type]


class _Parts(LocalityMixin, MultiplexMixin, Raises):
    pass


def names(ranks: list[list[RunningReplica]]) -> list[list[str]]:
    return [[r.replica_id.unique_id for r in group] for group in ranks]


def test_ranks_by_locality() -> None:
    router = _Parts(WHERE)
    replicas = [replica("a", "n1"), replica("b", "n2")]
    router.update_replicas(replicas)
    token = asking.set(Caller("n2", prefers_its_node=True))
    try:
        assert names(router.rank_replicas_via_locality(replicas)) == [["b"], [], ["a"]]
        request = pending()
        assert {i.unique_id for i in router.apply_locality_routing(request)} == {"b"}
        assert {i.unique_id for i in router.apply_locality_routing(request)} == {"a", "b"}
    finally:
        asking.reset(token)
    assert {i.unique_id for i in router.apply_locality_routing(pending())} == {"a", "b"}


def test_ranks_by_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_SERVE_MULTIPLEXED_MODEL_ID_MATCHING_TIMEOUT_S", "1000")
    router = _Parts(WHERE)
    replicas = [replica("a", models={"m", "x"}), replica("b"), replica("c", models={"y"})]
    router.update_replicas(replicas)
    assert names(router.rank_replicas_via_multiplex(replicas, "m")) == [["a"], ["b"], ["c"]]
    have = pending(multiplexed_model_id="m")
    for _ in range(3):
        assert {i.unique_id for i in router.apply_multiplex_routing(have)} == {"a"}
    new = pending(multiplexed_model_id="new")
    assert {i.unique_id for i in router.apply_multiplex_routing(new)} == {"b"}
    assert {i.unique_id for i in router.apply_multiplex_routing(new)} == {"a", "b", "c"}


def test_serves_own_routers_as_bases() -> None:
    replicas = [replica(name) for name in "abcd"]

    async def go() -> None:
        turns = RoundRobinRouter(WHERE)
        turns.update_replicas(replicas)
        firsts = [names(await turns.choose_replicas(replicas, pending()))[0][0] for _ in range(6)]
        assert firsts == ["a", "b", "c", "d", "a", "b"]
        two = PowerOfTwoChoicesRequestRouter(WHERE)
        two.update_replicas(replicas)
        (group,) = await two.choose_replicas(replicas, pending())
        assert len({r.replica_id for r in group}) == 2
        ring = ConsistentHashRouter(WHERE)
        ring.initialize_state(num_virtual_nodes=20, num_fallback_replicas=1)
        ranked = names(await ring.choose_replicas(replicas, pending(session_id="s")))
        assert len(ranked) == 2
        assert names(await ring.choose_replicas(list(reversed(replicas)), pending(session_id="s"))) == ranked

    asyncio.run(go())
