"""What runs on a device behind ssh: this text goes into its ``python3 -``, once an action.

Standard library only, and nothing newer than Python 3.6: a Python that is too old must be able to
say so. The answer is one line of JSON, the last.

A session has a work folder: the package is unpacked there once, and every job, one measuring worker
over some bundles, has a folder inside it.
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

_ROOT = Path("~/.cache/edge-fgir-remote")
_DAY_S = 86400.0
_GRACE_S = 5.0
_IDENTIFY_S = 120.0


def prepare(oldest: list, modules: list, libraries: list) -> dict:
    """Name what is missing here, or make a work folder.

    Work folders that nothing has run in for a day are removed.

    Args:
        oldest: The first Python that will do: major, minor.
        modules: What must be importable.
        libraries: One of these must be, too; where none is, the first is missing.
    """
    python = ".".join(str(part) for part in sys.version_info[:3])
    if list(sys.version_info[:2]) < oldest:
        return {"python": python, "missing": [], "folder": None}
    # OpenVINO and ONNX Runtime send usage data unless told before they are imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    missing = [name for name in modules if not _imports(name)]
    if not any(_imports(name) for name in libraries):
        missing.append(libraries[0])
    return {"python": python, "missing": missing, "folder": None if missing else _new_folder()}


def _imports(name: str) -> bool:
    try:
        importlib.import_module(name)
    except Exception:  # a library without its drivers raises what it likes
        return False
    return True


def _new_folder() -> str:
    root = _ROOT.expanduser()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in root.iterdir():
        if time.time() - folder.lstat().st_mtime > _DAY_S and not _running(folder):
            shutil.rmtree(str(folder), ignore_errors=True)
    return tempfile.mkdtemp(prefix="session-", dir=str(root))


def identify(folder: str, files: dict, start: str, request: str) -> dict:
    """Unpack the package and let a worker say which device this is.

    Args:
        folder: The work folder, which holds ``code.zip``.
        files: Sizes and hashes by name.
        start: What Python runs to start a worker.
        request: Of the worker.
    """
    work = Path(folder)
    damaged = _damaged(work, files)
    if damaged:
        return {"damaged": damaged, "code": None, "answer": "", "said": ""}
    with zipfile.ZipFile(str(work / "code.zip")) as archive:
        archive.extractall(str(work / "code"))
    done = subprocess.run(
        [sys.executable, "-c", start, str(work / "code")],
        input=request.encode(),
        capture_output=True,
        timeout=_IDENTIFY_S,
        check=False,
    )
    said, answer = (text.decode(errors="replace") for text in (done.stderr, done.stdout))
    return {"damaged": [], "code": done.returncode, "answer": answer, "said": said[-4000:]}


def run(folder: str, files: dict, start: str, request: str) -> dict:
    """Compare the files with their sizes and hashes, and start a worker, apart from this session.

    Once started it is not started again: the answer to the first call may have been lost.

    Args:
        folder: The job's, inside the work folder; it holds the files.
        files: Sizes and hashes by name.
        start: What Python runs to start a worker.
        request: Of the worker.
    """
    job = Path(folder)
    if (job / "pid").exists():
        return {"damaged": []}
    damaged = _damaged(job, files)
    if not damaged:
        (job / "request.json").write_text(request)
        os.utime(str(job.parent))
        lock = (job / "pid").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = os.fork()
        if not child:
            _watch(job, start)
        lock.write(str(child))
        lock.close()  # here; the child holds it as long as it lives
    return {"damaged": damaged}


def _watch(job: Path, start: str) -> None:
    # A session of its own, and none of ssh's pipes: sshd waits for those, and hangs up on the rest.
    os.setsid()
    progress = (job / "progress").open("wb")
    with Path(os.devnull).open("rb") as nothing:
        for stream, file in enumerate((nothing, progress, progress)):
            os.dup2(file.fileno(), stream)
    # The worker obeys an interrupt; this process stays to see it end. (A handler: "ignore" would
    # be inherited.)
    signal.signal(signal.SIGINT, lambda *_: None)
    answer = job / "answer.json"
    ended: dict = {"code": None, "size": None, "sha256": None}
    try:
        with (job / "request.json").open("rb") as request, answer.open("wb") as out:
            ended["code"] = subprocess.call(
                [sys.executable, "-c", start, str(job.parent / "code")],
                stdin=request,
                stdout=out,
                cwd=str(job),
            )
        ended["size"], ended["sha256"] = seal(answer)
    finally:
        draft = job / "ended.part"
        draft.write_text(json.dumps(ended))
        draft.replace(job / "ended.json")
        os._exit(0)


def running(folder: str) -> dict:
    """Tell whether a worker goes on in a folder."""
    return {"running": _running(Path(folder))}


def finish(folder: str) -> dict:
    """Stop what runs in a folder, as Ctrl-C here would, and remove the folder."""
    work = Path(folder)
    for order in (signal.SIGINT, signal.SIGKILL):
        for lock in work.rglob("pid"):
            if _locked(lock):
                # Asked in its first moments: no number yet, or no group of that number.
                with suppress(ValueError, ProcessLookupError):
                    os.killpg(int(lock.read_text()), order)
        patience = time.time() + _GRACE_S
        while _running(work) and time.time() < patience:
            time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)
    return {"removed": not work.exists()}


def _running(work: Path) -> bool:
    return any(_locked(lock) for lock in work.rglob("pid"))


def _locked(lock: Path) -> bool:
    """Ask the lock, not the process id: that of an ended process may be another's by now."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _damaged(folder: Path, files: dict) -> list:
    return [name for name, sealed in files.items() if seal(folder / name) != sealed]


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
    actions: dict = {
        "prepare": prepare,
        "identify": identify,
        "run": run,
        "running": running,
        "finish": finish,
    }
    reply = actions[asked.pop("action")](**asked)
    sys.stdout.write("\n" + json.dumps(reply) + "\n")
