"""``python -m penstock._zygote FD``: the warm process that an agent has replicas forked from.

It has imported what every replica needs, and waits for packets on its socket. Each brings the
descriptors of a request, a control socket, a log, a folder and a page, and is answered with the id of a
process that is the agent's child. A fork copies one thread and what all of them held; so there is
one thread only, which is looked at before every fork.
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import select
import socket
import sys
from importlib.machinery import FileFinder
from types import ModuleType
from typing import Any, NamedTuple, Optional

from penstock import _core

__all__ = ["main"]

_DESCRIPTORS = 5
_CONTROL_FD = 3  # in a replica
_MARK = "PENSTOCK_REPLICA"
_AT_START = ("sitecustomize", "usercustomize")  # an interpreter imports these where it finds them
# Modules that a replica needs sooner or later; the second line does for its first request.
_NEEDED = ("penstock._replica.__main__", "penstock.serve", "cloudpickle", "uvloop")
_NEEDED_BY_REQUESTS = ("penstock._replica.request", "concurrent.futures.thread")


class _Request(NamedTuple):
    import_folders: list[str]  # that runtime_env puts before PYTHONPATH
    variables: dict[str, str]
    control: int
    log: int
    folder: int
    page: int


class _Refusal(Exception):
    """Why nothing is forked. ``ends``: nor will anything be."""

    def __init__(self, why: str, ends: bool = False) -> None:
        super().__init__(why)
        self.ends = ends


# ---- what is warm ----


def _warm_up() -> None:
    for name in (*_NEEDED, *_NEEDED_BY_REQUESTS):
        try:
            importlib.import_module(name)
        except ImportError:
            if name != "uvloop":  # a platform without it
                raise


def _file_of(module: ModuleType) -> Optional[str]:
    path = getattr(module, "__file__", None)
    return path if isinstance(path, str) else None


def _version(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


def _installed() -> dict[str, tuple[int, int]]:
    """The files that were imported and may be replaced while we run: not the interpreter's own."""
    own = os.path.dirname(os.__file__) + os.sep
    packages = ("site-packages", "dist-packages")
    files = filter(None, map(_file_of, list(sys.modules.values())))
    return {path: _version(path) for path in files if not path.startswith(own) or path[len(own) :].startswith(packages)}


def _shadowing(folder: int) -> Optional[str]:
    """A module in the folder that a process started with it would import instead of the one we have."""
    with os.scandir(folder) as entries:
        return next((entry.name for entry in entries if _shadows(entry, folder)), None)


def _shadows(entry: os.DirEntry[str], folder: int) -> bool:
    name = entry.name.partition(".")[0]
    module = sys.modules.get(name)
    if module is None and name not in _AT_START:
        return False
    if entry.is_dir():  # a package; without that file it comes after every module
        path = os.path.join(entry.name, "__init__.py")
    elif entry.name.endswith((".py", ".so", ".pyc")):
        path = entry.name
    else:
        return False
    ours = _file_of(module) if module is not None else None
    try:
        found = os.stat(path, dir_fd=folder)
        return ours is None or not os.path.samestat(found, os.stat(ours))
    except FileNotFoundError:
        return False


# ---- forking ----


def _check_alone() -> None:
    """_Refusal when a fork would lose threads."""
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise _Refusal(f"the zygote has {threads} threads", ends=True)


def _check_mark(mark: str) -> None:
    """_Refusal when what /proc shows of a fork could not be told from others."""
    if len(mark) != len(os.environ[_MARK]):
        raise _Refusal(f"the replica's id '{mark}' is not of the usual length")


def _check_installed(installed: dict[str, tuple[int, int]]) -> None:
    """_Refusal when a fresh process would import something else."""
    for path, version in installed.items():
        if _version(path) != version:
            raise _Refusal(f"'{path}' has changed", ends=True)


def _check_folders(folder: int, import_folders: list[str]) -> None:
    """_Refusal when a fresh process would import something else from a folder of its own."""
    opened = [os.open(path, os.O_RDONLY) for path in import_folders if os.path.isdir(path)]
    try:
        for each in (folder, *opened):
            shadowing = _shadowing(each)
            if shadowing is not None:
                raise _Refusal(f"its folder has a '{shadowing}', which would hide a module that is imported already")
    finally:
        for each in opened:
            os.close(each)


def _forget_folders() -> None:
    """What the import system has seen of folders may have changed; a fresh process looks anew."""
    for path, finder in list(sys.path_importer_cache.items()):
        if finder is None:
            del sys.path_importer_cache[path]
        elif isinstance(finder, FileFinder):
            finder.invalidate_caches()


def _fork() -> int:
    """Forks a child for the agent, the nearest subreaper. Its id; 0 in itself."""
    _forget_folders()
    answer = _core.fork_away()
    if answer < 0:
        raise _Refusal(f"fork: {os.strerror(-answer)}")
    return answer


def _receive(sock: socket.socket) -> Optional[_Request]:
    """The next request; None when the agent has gone."""
    size = array.array("i").itemsize * _DESCRIPTORS
    packet, control, _, _ = sock.recvmsg(64, socket.CMSG_SPACE(size))
    if not packet:
        return None
    descriptors = array.array("i")
    descriptors.frombytes(control[0][2])
    order, *rest = descriptors
    with open(order, "rb") as file:
        file.seek(0)
        parts = os.fsdecode(file.read()).split("\0")
    end = parts.index("")
    variables = dict(part.split("=", 1) for part in parts[end + 1 : -1])
    return _Request(parts[:end], variables, *rest)


def _serve(sock: socket.socket) -> Optional[_Request]:
    """Forks until the agent has gone. In a forked process: what it is to become."""
    installed = _installed()
    while True:
        request = _receive(sock)
        if request is None:
            return None
        answer: dict[str, Any]
        ends = False
        try:
            _check_alone()
            _check_mark(request.variables[_MARK])
            _check_installed(installed)
            _check_folders(request.folder, request.import_folders)
            pid = _fork()
            if pid == 0:
                return request
            answer = {"pid": pid}
        except _Refusal as refusal:
            ends = refusal.ends
            answer = {"why_not": str(refusal), "ends": ends}
        except OSError as error:
            answer = {"why_not": str(error), "ends": False}
        for descriptor in (request.control, request.log, request.folder, request.page):
            os.close(descriptor)
        sock.send(json.dumps(answer).encode())
        if ends:
            return None


# ---- in the forked process ----


def _set_environment(variables: dict[str, str]) -> None:
    for name in set(os.environ) - set(variables):
        del os.environ[name]
    for name, value in variables.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _become(request: _Request, agent: int) -> int:
    """Turns into a replica as if it had been started: ``python -m penstock._replica``."""
    from penstock._replica import __main__ as replica

    os.setsid()
    os.dup2(request.log, 1)
    os.dup2(request.log, 2)
    os.dup2(request.control, _CONTROL_FD, inheritable=False)  # in the place of our socket
    os.fchdir(request.folder)
    for descriptor in (request.control, request.log, request.folder):
        os.close(descriptor)
    _set_environment(request.variables)
    os.environ["PENSTOCK_PAGE_FD"] = str(request.page)
    sys.argv = [str(replica.__file__)]
    own = 0 if getattr(sys.flags, "safe_path", False) else 1
    sys.path[:own] = [os.getcwd()] * own + request.import_folders
    # By its mark the agent finds what a replica has forked in turn.
    if not _core.show_as([sys.executable, "-m", "penstock._replica"], _MARK, request.variables[_MARK]):
        raise RuntimeError(f"/proc has no room for this replica's {_MARK}")
    # The agent's first order says that this process is in its care.
    watched = select.poll()
    watched.register(_CONTROL_FD, select.POLLIN)
    (event,) = watched.poll()
    if not event[1] & select.POLLIN or not _core.die_with(agent):
        return 127
    gc.enable()
    return replica.main()


def main() -> int:
    """Runs until the agent has gone."""
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        print("penstock._zygote: started by hand? It takes the number of a socket", file=sys.stderr)
        return 2
    gc.disable()  # a collection writes to every object, and what is written to is no longer shared
    _warm_up()
    gc.freeze()
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.setblocking(True)
    agent = os.getppid()
    request = _serve(sock)
    if request is None:
        return 0
    sock.detach()
    del sock
    return _become(request, agent)


if __name__ == "__main__":
    sys.exit(main())
