"""What a node finds on its machine: here with a stand-in for NVIDIA's library."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from instances import environment, own_home, penstock_command

GPUS = (
    "GPU-0|NVIDIA A100-SXM4-40GB|42949672960|00000000:3B:00.0|mig|MIG-a=5368709120,MIG-b=5368709120\n"
    "GPU-1|NVIDIA A100-SXM4-40GB|42949672960|00000000:AF:00.0|\n"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder."""
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).parents[2] / "tests" / "support" / "fake_nvml.cc"
    target = folder / "libnvidia-ml.so.1"
    subprocess.run(["g++", "-std=c++20", "-shared", "-fPIC", "-o", str(target), str(source)], check=True)
    return folder


def test_the_doctor_says_what_a_node_would_have(library: Path) -> None:
    env = environment(LD_LIBRARY_PATH=str(library), FAKE_NVML=GPUS)
    found = json.loads(penstock_command("doctor", "--json", env=env).stdout)
    assert found["cpus"]["count"] >= 1
    assert found["cpus"]["derivation"]
    assert found["memory"]["total_bytes"] >= found["memory"]["available_bytes"] > 0
    (gpus,) = (family for family in found["accelerators"] if family["resource"] == "GPU")
    assert (gpus["vendor"], gpus["type"]) == ("nvidia", "A100")
    assert [device["id"] for device in gpus["devices"]] == ["MIG-a", "MIG-b", "GPU-1"]
    text = penstock_command("doctor", env=env).stdout
    assert "2 x NVIDIA A100-SXM4-40GB by NVML" in text
    assert "accelerator_type:A100" in text


@pytest.mark.parametrize(
    ("shown", "ids"), [(None, ["MIG-a", "MIG-b", "GPU-1"]), ("GPU-1,MIG-b", ["GPU-1", "MIG-b"]), ("", [])]
)
def test_a_node_gives_away_what_is_there_and_shown(library: Path, shown: str | None, ids: list[str]) -> None:
    with own_home() as home:
        env = environment(PENSTOCK_HOME=home, LD_LIBRARY_PATH=str(library), FAKE_NVML=GPUS)
        if shown is not None:
            env["CUDA_VISIBLE_DEVICES"] = shown
        penstock_command("start", "--head", env=env)
        try:
            status = json.loads(penstock_command("status", "--json", env=env).stdout)
        finally:
            penstock_command("stop", env=env)
        (node,) = status["cluster"]["nodes"]
        assert node["total"].get("GPU", 0) == len(ids)
        assert ("accelerator_type:A100" in node["total"]) == bool(ids)
