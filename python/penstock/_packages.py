"""Runtime environments: folders copied into the instance, so that edits do not reach what runs.

A copy is named by the content it was made from: the same content is copied once.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import tempfile
from typing import Any

from penstock import _core
from penstock.serve.config import to_json, to_plain

__all__ = ["check_runtime_env", "stage_runtime_env"]

_ALWAYS_EXCLUDED = (".git", "__pycache__", ".venv")


def _files(folder: str, excludes: list[str]) -> list[str]:
    """Paths of all files below, relative, sorted; excluded ones left out."""
    found = []
    for where, folders, names in os.walk(folder):
        relative = os.path.relpath(where, folder)
        folders[:] = sorted(f for f in folders if not _excluded(os.path.join(relative, f), excludes))
        found += [os.path.normpath(os.path.join(relative, name)) for name in names]
    return sorted(path for path in found if not _excluded(path, excludes))


def _excluded(path: str, excludes: list[str]) -> bool:
    path = os.path.normpath(path)
    name = os.path.basename(path)
    if name in _ALWAYS_EXCLUDED:
        return True
    return any(fnmatch.fnmatch(path, p.strip("/")) or fnmatch.fnmatch(name, p.strip("/")) for p in excludes)


def _digest(folder: str, paths: list[str]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        full = os.path.join(folder, path)
        digest.update(path.encode() + b"\0" + str(os.stat(full).st_mode).encode() + b"\0")
        with open(full, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        digest.update(b"\0")
    return digest.hexdigest()[:32]


def _stage_folder(folder: str, excludes: list[str], store: str) -> str:
    """Copies a folder into ``store``, keeping its name as the last part of the path."""
    if not os.path.isdir(folder):
        raise ValueError(f"runtime_env: '{folder}' is not a folder of this host")
    paths = _files(folder, excludes)
    name = os.path.basename(os.path.abspath(folder))
    target = os.path.join(store, _digest(folder, paths), name)
    if os.path.isdir(target):
        return target
    os.makedirs(store, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store) as beside:
        for path in paths:
            copy = os.path.join(beside, name, path)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            shutil.copy2(os.path.join(folder, path), copy)
        os.makedirs(os.path.join(beside, name), exist_ok=True)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            os.rename(os.path.join(beside, name), target)
        except OSError:
            if not os.path.isdir(target):  # else somebody staged the same at the same time
                raise
    return target


def check_runtime_env(env: Any) -> None:
    """TypeError, ValueError or NotImplementedError for an environment that replicas cannot have."""
    if not isinstance(env, dict):
        raise TypeError(f"runtime_env must be a dictionary, got {env!r}.")
    _core.check_runtime_env(to_json(env))


def stage_runtime_env(env: dict[str, Any], instance_folder: str) -> dict[str, Any]:
    """The same environment with its folders staged. ValueError for a folder that is not there."""
    staged = dict(env)
    store = os.path.join(instance_folder, "env")
    excludes = list(env.get("excludes") or [])
    if isinstance(env.get("working_dir"), str):
        staged["working_dir"] = _stage_folder(env["working_dir"], excludes, store)
    if isinstance(env.get("py_modules"), (list, tuple)):
        staged["py_modules"] = [_stage_folder(m, excludes, store) for m in to_plain(env["py_modules"])]
    return staged
