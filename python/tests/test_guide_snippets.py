"""The guide's own code, read from its text and run unchanged by ``penstock python``.

The text has lost its indentation, which is put back mechanically; what the guide leaves undefined
comes from a prelude.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from instances import (
    PENSTOCK,
    SHIM,
    environment,
    free_port,
    own_home,
    processes_of,
    run_script,
)
from waiting import wait_until

GUIDE = Path(__file__).parents[3] / "shared" / "seed" / "000_a4e0604b1de6088d.txt"

pytestmark = pytest.mark.skipif(not GUIDE.exists(), reason=f"the guide is not there: {GUIDE}")

PRELUDE = """
import os
import ray
from ray import serve

ray.init(num_cpus=4, num_gpus=1, resources={"HPU": 1, "custom_resource": 2})

def do_something_with_my_gpu():
    return "GPU " + os.environ["CUDA_VISIBLE_DEVICES"]

def do_something_with_my_hpu():
    return "HPU " + os.environ["HABANA_VISIBLE_MODULES"]

def do_something_with_my_custom_resource():
    return str(ray.get_runtime_context().get_assigned_resources())
"""

# Deploys every function of the snippet; what each answers, one a line.
RUN_FUNCTIONS = """
names = [name for name in list(globals()) if name.startswith("func")]
for name in names:
    serve.run(globals()[name].bind(), name=name, route_prefix="/" + name)
for name in names:
    print(name, serve.get_app_handle(name).remote().result())
print("free", ray.available_resources().get("GPU", 0))
"""


def snippets() -> list[str]:
    """Runs of code lines, each starting with a decorator, indented again."""
    found: list[list[str]] = []
    in_code = False
    for line in GUIDE.read_text().splitlines():
        if line.startswith("@serve.deployment"):
            follows_code = in_code  # two functions of one snippet
            in_code = True
            if not follows_code:
                found.append([])
        elif in_code and not line.startswith(("def ", "class ", "return ", "pass", "#", "os.environ", "serve.run")):
            in_code = False
        if in_code:
            found[-1].append(line)
    return ["\n".join(indented(lines)) + "\n" for lines in found]


def indented(lines: list[str]) -> Iterator[str]:
    """Decorators, classes and calls of Serve stand at the left; what a colon opens, further in."""
    in_class = False
    depth = 0
    for line in lines:
        if line.startswith(("@", "class ", "serve.run")):
            depth, in_class = 0, line.startswith("class ")
        elif line.startswith("def "):
            depth = 1 if in_class else 0
        yield "    " * depth + line
        if line.endswith(":"):
            depth += 1


def snippet(text: str) -> str:
    """The one that contains the text."""
    (found,) = (each for each in snippets() if text in each)
    return found


def lines_of_shell() -> list[str]:
    """The guide's commands."""
    return [line for line in GUIDE.read_text().splitlines() if "ray start" in line]


def run(code: str, folder: Path) -> str:
    """What a script with the code prints; the instance it starts is its own."""
    with own_home() as home:
        text = run_script(folder, code, env=environment(PENSTOCK_HOME=home)).stdout
        assert not processes_of(home)
    return text


def test_every_snippet_is_known() -> None:
    assert len(snippets()) == 5
    assert len(lines_of_shell()) == 2


@pytest.mark.parametrize(
    ("which", "answers"),
    [
        ('"num_gpus": 1', ["func GPU 0", "free 0"]),
        ('"HPU": 1', ["func HPU 0", "free 1.0"]),
        ('"num_gpus": 0.5', ["func_1 GPU 0", "func_2 GPU 0", "free 0"]),
        ('"custom_resource": 2', ["func {'CPU': 1.0, 'custom_resource': 2.0}", "free 1.0"]),
    ],
)
def test_a_function_with_resources(which: str, answers: list[str], tmp_path: Path) -> None:
    printed = run(PRELUDE + snippet(which) + RUN_FUNCTIONS, tmp_path)
    assert printed.splitlines() == answers


def test_a_class_that_sets_its_threads(tmp_path: Path) -> None:
    look = """
import json, subprocess
status = json.loads(subprocess.check_output([os.environ["PENSTOCK"], "status", "--json"]))
(replica,) = status["applications"]["default"]["deployments"]["MyDeployment"]["replicas"]
print(serve.status().applications["default"].status.value)
print(replica["env"]["OMP_NUM_THREADS"]["value"])
print(serve.get_app_handle("default").remote().result())
"""
    code = PRELUDE + f'os.environ["PENSTOCK"] = {PENSTOCK!r}\n' + snippet("class MyDeployment") + look
    assert run(code, tmp_path).splitlines() == ["RUNNING", "1", "None"]


WHAT_EVERY_NODE_SAYS = """
import json, os, ray
from ray import serve

ray.init()  # an instance runs: this connects to it

@serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 0.5}, max_replicas_per_node=1)
class Threads:
    def __call__(self):
        return os.environ["OMP_NUM_THREADS"], ray.get_runtime_context().get_node_id()

serve.start(http_options={"port": PORT})
handle = serve.run(Threads.bind())
seen = {}
while len(seen) < 2:
    threads, node = handle.remote().result()
    seen[node] = threads
print(json.dumps([sorted(seen.values()), sorted(seen) == sorted(n["NodeID"] for n in ray.nodes())]))
"""


def test_the_shell_lines_start_nodes_whose_replicas_have_the_variable(tmp_path: Path) -> None:
    with own_home() as home:
        env = environment(PENSTOCK_HOME=home, HEAD_NODE_ADDRESS="127.0.0.1:6379")
        env["PATH"] = f"{SHIM}/bin:{Path(PENSTOCK).parent}:{env['PATH']}"

        def shell(line: str) -> None:
            done = subprocess.run(line, shell=True, env=env, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"

        for line in lines_of_shell():
            shell(line)
        script = WHAT_EVERY_NODE_SAYS.replace("PORT", str(free_port()))
        printed = run_script(tmp_path, script, env=env).stdout
        assert json.loads(printed) == [["12", "12"], True]
        shell("ray stop")
        wait_until(lambda: not processes_of(home), "every process has ended")
