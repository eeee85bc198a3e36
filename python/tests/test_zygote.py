"""Replicas that are forked from a warm process are what replicas with a process of their own are."""

from __future__ import annotations

import importlib
import os
import quopri
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import App, Deployer
from instances import PENSTOCK, Instance, embedded, environment, own_home, processes_of, run_script
from probes import QUICK, Probe
from ray import serve
from waiting import wait_until

from penstock import _zygote


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


def env_vars(**variables: str) -> dict[str, Any]:
    return {"num_cpus": 0, "runtime_env": {"env_vars": variables}}


def startups(app: App, deployment: str) -> list[dict[str, Any]]:
    return [replica["startup"] for replica in app.details(deployment)["replicas"]]


def zygotes() -> list[int]:
    return sorted(
        pid for pid, command in processes_of(os.environ["PENSTOCK_HOME"]).items() if "penstock._zygote" in command
    )


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@serve.deployment(ray_actor_options={"num_cpus": 0}, **QUICK)
class Inside:
    """A replica that does and tells what it is told to."""

    async def __call__(self, text: str) -> Any:
        return eval(text)

    async def die(self, text: str) -> None:
        exec(text)


# ---- which way a replica went ----


def test_replicas_are_forked_and_say_how_long_each_step_took(deploy: Deployer, instance: Instance) -> None:
    app = deploy(Inside.options(num_replicas=3).bind())
    for startup in startups(app, "Inside"):
        assert startup["process"] == "forked"
        assert {"queue_s", "spawn_s", "import_s", "load_s", "init_s"} <= set(startup)
    commands = processes_of(os.environ["PENSTOCK_HOME"])
    for replica in app.details("Inside")["replicas"]:
        assert commands[replica["pid"]].endswith("-m penstock._replica")
        agent = parent_of(replica["pid"])
        assert "penstock node" in commands[agent]
        assert os.getpgid(replica["pid"]) == os.getsid(replica["pid"]) == replica["pid"]


def test_a_zygote_has_one_thread_and_no_socket_of_a_replica(deploy: Deployer) -> None:
    deploy(Inside.options(num_replicas=2).bind())
    for pid in zygotes():
        assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
        assert len(list(Path(f"/proc/{pid}/fd").iterdir())) == 4


def test_one_may_be_told_to_have_a_process_of_its_own(deploy: Deployer) -> None:
    app = deploy(Inside.options(ray_actor_options=env_vars(PENSTOCK_ZYGOTE="0")).bind())
    (startup,) = startups(app, "Inside")
    assert startup["process"] == "fresh"
    assert startup["why_fresh"] == "PENSTOCK_ZYGOTE=0"
    assert app.handle.remote("__import__('os').environ['PENSTOCK_ZYGOTE']").result() == "0"


def test_what_an_interpreter_reads_at_its_start_makes_another_zygote(deploy: Deployer) -> None:
    before = zygotes()
    app = deploy(Inside.options(ray_actor_options=env_vars(PYTHONHASHSEED="7")).bind())
    assert startups(app, "Inside")[0]["process"] == "forked"
    assert len(set(zygotes()) - set(before)) == 1
    own = subprocess.run(
        [sys.executable, "-c", "print(hash('penstock'))"],
        env=environment(PYTHONHASHSEED="7"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert app.handle.remote("hash('penstock')").result() == int(own.stdout)


def test_a_module_of_the_users_is_not_hidden_by_one_that_is_warm(
    deploy: Deployer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "quopri.py").write_text(Path(str(quopri.__file__)).read_text() + "MINE = True\n")
    assert deploy(Inside.bind()).handle.remote("'quopri' in __import__('sys').modules").result()
    monkeypatch.chdir(tmp_path)
    app = deploy(Inside.bind())
    (startup,) = startups(app, "Inside")
    assert startup["process"] == "fresh"
    assert "'quopri.py'" in startup["why_fresh"]
    assert app.handle.remote("__import__('quopri').MINE").result() is True


def test_what_hides_a_warm_module_is_a_module(tmp_path: Path) -> None:
    def found() -> Any:
        folder = os.open(tmp_path, os.O_RDONLY)
        try:
            return _zygote._shadowing(folder)
        finally:
            os.close(folder)

    (tmp_path / "json").mkdir()  # without an __init__.py it comes after every module
    (tmp_path / "random.txt").touch()
    (tmp_path / "nobody_has_this.py").touch()
    assert found() is None
    (tmp_path / "json" / "__init__.py").touch()
    assert found() == "json"
    (tmp_path / "json" / "__init__.py").unlink()
    (tmp_path / "random.py").symlink_to(str(random.__file__))  # the very one
    assert found() is None
    (tmp_path / "uuid.py").touch()
    assert found() == "uuid.py"
    (tmp_path / "uuid.py").unlink()
    (tmp_path / "usercustomize.py").touch()
    assert found() == "usercustomize.py"


def test_a_package_that_was_changed_ends_the_zygote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package_of_mine.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("package_of_mine")
    installed = _zygote._installed()
    assert str(tmp_path / "package_of_mine.py") in installed
    assert str(random.__file__) not in installed
    _zygote._check_installed(installed)
    (tmp_path / "package_of_mine.py").write_text("CHANGED = True")
    with pytest.raises(_zygote._Refusal, match=r"package_of_mine\.py' has changed") as caught:
        _zygote._check_installed(installed)
    assert caught.value.ends


def test_a_second_thread_ends_the_zygote() -> None:
    code = """
import threading
from penstock import _zygote
_zygote._check_alone()
threading.Thread(target=threading.Event().wait, daemon=True).start()
try:
    _zygote._check_alone()
except _zygote._Refusal as refusal:
    print(refusal, refusal.ends)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "the zygote has 2 threads True\n"


def test_what_warm_modules_read_from_the_environment_is_known() -> None:
    """Whoever sets one of these for a replica must find it in effect: see zygote_key.cc."""
    code = """
import os
asked = set()
plain = os._Environ.__getitem__
def note(self, name):
    asked.add(name)
    return plain(self, name)
os._Environ.__getitem__ = note
from penstock import _zygote
_zygote._warm_up()
print(*sorted(asked))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    fixed = ("PYTHON", "_PYTHON", "LC_", "LANG", "TZ", "HOME", "OPENSSL_")
    # An instance's folder is the same for all that it forks.
    assert [name for name in done.stdout.split() if not name.startswith(fixed)] == ["PENSTOCK_INSTANCE"]


def test_an_id_that_would_not_show_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_REPLICA", "--------")
    _zygote._check_mark("abcdefgh")
    with pytest.raises(_zygote._Refusal, match="'short' is not of the usual length"):
        _zygote._check_mark("short")


def test_the_interpreter_of_a_script_is_warm_before_it_deploys() -> None:
    with own_home() as home:
        code = """
import ray, sys
ray.init(num_cpus=1)
print("ready", flush=True)
sys.stdin.read()
"""
        with subprocess.Popen(
            [PENSTOCK, "python", "-c", code],
            env=environment(PENSTOCK_HOME=home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as script:
            assert script.stdout is not None
            assert script.stdout.readline() == "ready\n"
            assert sum("penstock._zygote" in command for command in processes_of(home).values()) == 1
            assert script.stdin is not None
            script.stdin.close()
        wait_until(lambda: not processes_of(home), "the instance ends with its script")


# ---- what it is given ----


def test_each_has_the_environment_of_its_own_and_no_other(deploy: Deployer) -> None:
    one = deploy(Probe.options(ray_actor_options={"num_cpus": 2, **env_vars(MINE="one")}).bind())
    other = deploy(Probe.options(ray_actor_options={"num_cpus": 3, "runtime_env": {"env_vars": {"ITS": "2"}}}).bind())
    seen, its = one.handle.remote().result()["env"], other.handle.remote().result()["env"]
    assert (seen["MINE"], seen["OMP_NUM_THREADS"], "ITS" in seen) == ("one", "1", False)
    assert (its["ITS"], its["OMP_NUM_THREADS"], "MINE" in its) == ("2", "3", False)
    assert {startup["process"] for startup in startups(one, "Probe") + startups(other, "Probe")} == {"forked"}


def test_what_it_starts_inherits_it(deploy: Deployer) -> None:
    app = deploy(Inside.options(ray_actor_options=env_vars(MINE="one")).bind())
    run = "__import__('subprocess').check_output(['sh', '-c', 'echo $MINE $OMP_NUM_THREADS'], text=True)"
    assert app.handle.remote(run).result() == "one 1\n"


def test_it_is_in_its_folder_and_imports_from_there(
    deploy: Deployer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_the_script.py").write_text("WHERE = 'here'\n")
    monkeypatch.chdir(tmp_path)
    app = deploy(Inside.bind())
    assert startups(app, "Inside")[0]["process"] == "forked"
    assert app.handle.remote("(__import__('os').getcwd(), __import__('sys').path[0])").result() == (
        str(tmp_path),
        str(tmp_path),
    )
    assert app.handle.remote("__import__('beside_the_script').WHERE").result() == "here"


def test_a_working_dir_is_its_folder(deploy: Deployer, tmp_path: Path) -> None:
    before = zygotes()
    (tmp_path / "in_working_dir.py").write_text("WHERE = 'there'\n")
    options = {"num_cpus": 0, "runtime_env": {"working_dir": str(tmp_path)}}
    app = deploy(Inside.options(ray_actor_options=options).bind())
    assert startups(app, "Inside")[0]["process"] == "forked"
    assert app.handle.remote("__import__('in_working_dir').WHERE").result() == "there"
    assert zygotes() == before


def test_its_folders_come_where_an_interpreter_puts_them(deploy: Deployer, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "a_module").mkdir()
    env = {"working_dir": str(tmp_path / "work"), "py_modules": [str(tmp_path / "a_module")]}
    path = "__import__('sys').path"
    switches = ({}, {"PENSTOCK_ZYGOTE": "0"})
    ways = [{"num_cpus": 0, "runtime_env": {**env, "env_vars": switch}} for switch in switches]
    forked, fresh = (deploy(Inside.options(ray_actor_options=way).bind()) for way in ways)
    assert startups(forked, "Inside")[0]["process"] == "forked"
    assert startups(fresh, "Inside")[0]["process"] == "fresh"
    assert forked.handle.remote(path).result() == fresh.handle.remote(path).result()


def test_what_is_no_text_is_kept_as_it_is(tmp_path: Path) -> None:
    with own_home() as home:
        code = """
import os
import ray
from ray import serve

@serve.deployment
class Tells:
    def __call__(self):
        return os.environb[b"BYTES"]

ray.init(num_cpus=1)
print(serve.run(Tells.bind()).remote().result())
"""
        env = {**environment(PENSTOCK_HOME=home), "BYTES": os.fsdecode(b"\xff=\xfe")}
        assert repr(b"\xff=\xfe") in run_script(tmp_path, code, env=env).stdout


def test_each_writes_to_its_own_log(deploy: Deployer) -> None:
    app = deploy(Inside.options(num_replicas=3).bind())
    said = "(print('I am', __import__('os').getpid(), flush=True), __import__('os').getpid())[1]"
    replicas = {replica["pid"]: Path(replica["log_file_path"]) for replica in app.details("Inside")["replicas"]}
    heard: set[int] = set()
    wait_until(lambda: heard.add(app.handle.remote(said).result()) or heard == set(replicas), "each has spoken")
    for pid, log in replicas.items():
        lines = {line for line in log.read_text().splitlines() if line.startswith("I am")}
        assert lines == {f"I am {pid}"}


def test_chance_is_not_inherited(deploy: Deployer) -> None:
    app = deploy(Inside.options(num_replicas=4).bind())
    draw = "(__import__('os').getpid(), __import__('random').getrandbits(64), __import__('uuid').uuid4().hex)"
    drawn: dict[int, tuple[int, str]] = {}

    def all_drew() -> bool:
        pid, *values = app.handle.remote(draw).result()
        drawn.setdefault(pid, tuple(values))
        return len(drawn) == 4

    wait_until(all_drew, "each has drawn")
    assert len({bits for bits, _ in drawn.values()}) == 4
    assert len({text for _, text in drawn.values()}) == 4
    assert uuid.UUID(next(iter(drawn.values()))[1]).version == 4


# ---- how it ends ----


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("import os; os._exit(3)", "Its process ended with exit code 3."),
        ("import os; os.kill(os.getpid(), 9)", "Its process ended with signal 9 (Killed)."),
        ("import os; os.abort()", "Its process ended with signal 6 (Aborted)."),
    ],
)
def test_how_one_ends_is_told_in_the_usual_words(deploy: Deployer, end: str, words: str) -> None:
    @serve.deployment(ray_actor_options={"num_cpus": 0}, **QUICK)
    class Ends:
        def __init__(self) -> None:
            exec(end)

    app = deploy(Ends.bind(), wait=False)
    wait_until(lambda: words in app.details("Ends")["message"], words)


def test_one_that_dies_is_replaced_by_a_fork(deploy: Deployer) -> None:
    app = deploy(Inside.bind())
    (before,) = app.details("Inside")["replicas"]
    os.kill(before["pid"], signal.SIGKILL)

    def replaced() -> Any:
        replicas = app.details("Inside")["replicas"]
        return [r for r in replicas if r["pid"] not in (None, before["pid"]) and r["state"] == "RUNNING"]

    (after,) = wait_until(replaced, "another runs")
    assert after["startup"]["process"] == "forked"
    assert not alive(before["pid"])


def test_its_whole_tree_goes_with_it(deploy: Deployer) -> None:
    @serve.deployment(ray_actor_options={"num_cpus": 0}, **QUICK)
    class Parent:
        def __init__(self) -> None:
            self.started = [subprocess.Popen(["sleep", "1000"]).pid]
            self.started.append(subprocess.Popen(["setsid", "sleep", "1001"]).pid)
            self.started.append(self._daemon())

        def _daemon(self) -> int:
            """As daemons are made: forked twice, in a session of its own, no program of its own."""
            read_end, write_end = os.pipe()
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.write(write_end, str(os.getpid()).encode())
                    signal.pause()
                os._exit(0)
            return int(os.read(read_end, 20))

        async def __call__(self) -> list[int]:
            return self.started

    app = deploy(Parent.bind())
    assert startups(app, "Parent")[0]["process"] == "forked"
    started = app.handle.remote().result()
    assert all(alive(pid) for pid in started)
    serve.delete(app.name)
    assert not any(alive(pid) for pid in started)


# ---- the zygote ----


def test_replicas_live_on_when_their_zygote_is_killed_and_another_takes_its_place(deploy: Deployer) -> None:
    app = deploy(Inside.options(num_replicas=2).bind())
    before = {replica["pid"] for replica in app.details("Inside")["replicas"]}
    killed = zygotes()
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(alive, killed)), "they are gone")
    second = deploy(Inside.bind())
    assert startups(second, "Inside")[0]["process"] == "forked"
    assert not set(zygotes()) & set(killed)
    assert app.handle.remote("1 + 1").result() == 2
    assert {replica["pid"] for replica in app.details("Inside")["replicas"]} == before


def test_many_at_once(deploy: Deployer) -> None:
    app = deploy(Inside.options(num_replicas=20).bind())
    replicas = app.details("Inside")["replicas"]
    assert len({replica["pid"] for replica in replicas}) == 20
    assert {replica["startup"]["process"] for replica in replicas} == {"forked"}
    agents = {parent_of(replica["pid"]) for replica in replicas}
    assert len(agents) == 1
    serve.delete(app.name)
    assert not any(alive(replica["pid"]) for replica in replicas)


def test_a_new_controller_adopts_what_was_forked(deploy: Deployer) -> None:
    app = deploy(Inside.options(num_replicas=2).bind())
    before = {replica["pid"] for replica in app.details("Inside")["replicas"]}
    (agent,) = {parent_of(pid) for pid in before}
    commands = processes_of(os.environ["PENSTOCK_HOME"])
    (controller,) = (pid for pid in commands if "penstock controller" in commands[pid] and parent_of(pid) == agent)
    os.kill(controller, signal.SIGKILL)

    def adopted() -> Any:
        try:
            replicas = app.details("Inside")["replicas"]
        except (AssertionError, KeyError):  # there is no controller, or it does not know yet
            return None
        return replicas if {replica["state"] for replica in replicas} == {"RUNNING"} else None

    after = wait_until(adopted, "the new controller knows them")
    assert {replica["pid"] for replica in after} == before
    assert {replica["startup"]["process"] for replica in after} == {"forked"}
    assert app.handle.remote("1 + 1").result() == 2
