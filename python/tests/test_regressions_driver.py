"""Faults of drivers that were found once."""

from __future__ import annotations

from pathlib import Path

from instances import environment, own_home, run_script


def test_a_daemon_thread_that_still_waits_does_not_abort_the_exit(tmp_path: Path) -> None:
    script = """
import threading
from penstock import serve

@serve.deployment(ray_actor_options={"num_cpus": 64})
def never():
    return "x"

serve.start(http_options={"port": 0})
waiting = threading.Thread(target=lambda: serve.run(never.bind()), daemon=True)
waiting.start()
while "default" not in serve.status().applications:
    waiting.join(0.01)
print("done")
"""
    with own_home() as home:
        done = run_script(tmp_path, script, env=environment(PENSTOCK_HOME=home), check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
