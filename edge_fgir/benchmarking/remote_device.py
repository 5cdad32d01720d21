"""What ``bench --host`` runs on the device: this text goes into its ``python3 -``, once an action.

Standard library only, and nothing newer than Python 3.6: a Python that is too old must be able to
say so. The answer is one line of JSON, the last.
"""

import fcntl
import hashlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import suppress
from pathlib import Path

_ROOT = Path("~/.cache/edge-fgir-remote").expanduser()
_DAY_S = 86400.0
_GRACE_S = 5.0


def prepare(key: str, oldest: list, modules: list) -> dict:
    """Name what is missing here, or make a work folder for the bundle ``key``.

    Args:
        key: Names the bundle; those of its folders go that a day ago were the last time used.
        oldest: The first Python that will do: major, minor.
        modules: What must be importable.
    """
    python = ".".join(str(part) for part in sys.version_info[:3])
    if list(sys.version_info[:2]) < oldest:
        return {"python": python, "missing": [], "folder": None}
    # OpenVINO and ONNX Runtime send usage data unless told before they are imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    missing = [name for name in modules if not _imports(name)]
    return {"python": python, "missing": missing, "folder": None if missing else _new_folder(key)}


def _imports(name: str) -> bool:
    try:
        importlib.import_module(name)
    except Exception:  # a library without its drivers raises what it likes
        return False
    return True


def _new_folder(key: str) -> str:
    _ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in _ROOT.glob(key + "-*"):
        if time.time() - folder.lstat().st_mtime > _DAY_S and not _running(folder):
            shutil.rmtree(str(folder), ignore_errors=True)
    return tempfile.mkdtemp(prefix=key + "-", dir=str(_ROOT))


def start(folder: str, files: dict, arguments: list) -> dict:
    """Compare the files with their sizes and hashes, and start the bench, apart from this session.

    Once started it is not started again: the answer to the first call may have been lost.
    """
    work = Path(folder)
    if (work / "pid").exists():
        return {"damaged": []}
    damaged = [name for name, sealed in files.items() if seal(work / name) != sealed]
    if not damaged:
        with zipfile.ZipFile(str(work / "code.zip")) as archive:
            archive.extractall(str(work / "code"))
        lock = (work / "pid").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = os.fork()
        if not child:
            _watch(work, arguments)
        lock.write(str(child))
        lock.close()  # here; the child holds it as long as it lives
    return {"damaged": damaged}


def _watch(work: Path, arguments: list) -> None:
    # A session of its own, and none of ssh's pipes: sshd waits for those, and hangs up on the rest.
    os.setsid()
    progress = (work / "progress").open("wb")
    with Path(os.devnull).open("rb") as nothing:
        for stream, file in enumerate((nothing, progress, progress)):
            os.dup2(file.fileno(), stream)
    # The bench obeys an interrupt; this process stays to see it end. (A handler: "ignore" would
    # be inherited.)
    signal.signal(signal.SIGINT, lambda *_: None)
    result = work / "result.json"
    command = [sys.executable, "-m", "edge_fgir", "bench", "bundle.zip", "--out", str(result)]
    path = os.pathsep.join(filter(None, [str(work / "code"), os.environ.get("PYTHONPATH")]))
    ended: dict = {"code": None, "seal": None}
    try:
        ended["code"] = subprocess.call(
            command + arguments,
            env=dict(os.environ, PYTHONPATH=path),
            stdout=subprocess.DEVNULL,
            cwd=str(work),
        )
        ended["seal"] = seal(result) if result.exists() else None
    finally:
        draft = work / "ended.part"
        draft.write_text(json.dumps(ended))
        draft.replace(work / "ended.json")
        os._exit(0)


def running(folder: str) -> dict:
    """Tell whether the bench goes on."""
    return {"running": _running(Path(folder))}


def finish(folder: str) -> dict:
    """Stop the bench if it runs, as Ctrl-C here would, and remove its folder."""
    work = Path(folder)
    for order in (signal.SIGINT, signal.SIGKILL):
        if _running(work):
            # Asked in its first moments: no number yet, or no group of that number.
            with suppress(ValueError, ProcessLookupError):
                os.killpg(int((work / "pid").read_text()), order)
            patience = time.time() + _GRACE_S
            while _running(work) and time.time() < patience:
                time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)
    return {"removed": not work.exists()}


def _running(work: Path) -> bool:
    """Ask the lock, not the process id: that of an ended process may be another's by now."""
    try:
        with (work / "pid").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def seal(path: Path) -> list:
    """Return size and SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            digest.update(part)
        return [file.tell(), digest.hexdigest()]


def answer(request: str) -> None:
    """Do what a request says, and print the answer."""
    asked = json.loads(request)
    actions: dict = {"prepare": prepare, "start": start, "running": running, "finish": finish}
    reply = actions[asked.pop("action")](**asked)
    sys.stdout.write("\n" + json.dumps(reply) + "\n")
