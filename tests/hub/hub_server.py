"""A hub of models on this machine: as much of Hugging Face's interface as its library asks for."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_test"
_COMMIT = "a" * 40


class Hub(ThreadingHTTPServer):
    """Holds the files of its repositories.

    Attributes:
        files: By repository and name.
        private: By repository.
        asked: Every request, as method and path.
        broken: Whether every question is answered by an error.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.broken = False

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Yield a hub that answers while the block runs."""
    with Hub() as hub:
        thread = Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        path, body = self._read()
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._send(401, {"error": "Invalid username or password."})
        elif path == "/api/repos/create":
            values = json.loads(body)
            name = f"{values['organization']}/{values['name']}"
            if name in self.server.files:
                known = {"error": "You already created this model repo"}
                self._send(409, {**known, "url": f"{self.server.url}/{name}"})
                return
            self.server.files[name] = {}
            self.server.private[name] = values.get("visibility") == "private"
            self._send(200, {"url": f"{self.server.url}/{name}"})
        elif path == "/api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})
        elif "/preupload/" in path:
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".fgir") else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            self._send(200, {"files": modes})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.server.url}/large/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            self._send(200, {"transfer": "basic", "objects": objects})
        elif "/commit/" in path:
            name = path.removeprefix("/api/models/").split("/commit/")[0]
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    content = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    content = self.server.large[value["oid"]]
                else:
                    continue
                self.server.files[name][value["path"]] = content
            url = f"{self.server.url}/{name}/commit/{_COMMIT}"
            self._send(200, {"success": True, "commitUrl": url, "commitOid": _COMMIT})
        else:
            self._send(404, {"error": f"no {path}"})

    def do_PUT(self) -> None:
        path, body = self._read()
        self.server.large[path.removeprefix("/large/")] = body
        self._send(200, {})

    def do_HEAD(self) -> None:
        self._give(with_body=False)

    def do_GET(self) -> None:
        self._give(with_body=True)

    def _give(self, *, with_body: bool) -> None:
        path, _ = self._read()
        if self.server.broken:
            self._send(500, {})
            return
        if path.startswith("/api/models/"):
            self._tell(path.removeprefix("/api/models/").partition("/revision/")[0])
            return
        name, _, rest = path.removeprefix("/").partition("/resolve/")
        found = self.server.files.get(name, {}).get(rest.partition("/")[2])
        if found is None:
            self._send(404, {"error": "Entry not found"}, code="EntryNotFound")
            return
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(found).hexdigest()}"')
        self.send_header("X-Repo-Commit", _COMMIT)
        self.send_header("Content-Length", str(len(found)))
        self.end_headers()
        if with_body:
            self.wfile.write(found)

    def _tell(self, name: str) -> None:
        if name in self.server.files:
            self._send(200, {"id": name, "sha": _COMMIT, "tags": [], "siblings": []})
        else:
            self._send(404, {"error": "Repository not found"}, code="RepoNotFound")

    def _read(self) -> tuple[str, bytes]:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        return path, self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status: int, value: object, code: str = "") -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
