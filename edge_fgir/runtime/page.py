"""A bundle of target ``web`` is a page too: which files a browser gets, and a server for a look."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from edge_fgir._errors import InputError
from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.manifest import MANIFEST, FileEntry

_INDEX = "index.html"
_NOT_SHOWN = ("golden", "reports")
_WORKER = "page/worker.js"
_POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"
"""What the worker may load, which the policy in the page does not bind; as ``sw.js`` has it."""

_HERE = "127.0.0.1"
_KINDS = {
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
}
_ANY_KIND = "application/octet-stream"


def page_entries(bundle: Bundle) -> list[FileEntry]:
    """Return the files that a browser loads and keeps, the largest first.

    Raises:
        InputError: The bundle is no page.
    """
    files = bundle.manifest.files
    if _INDEX not in {entry.path for entry in files}:
        raise InputError(
            f"{bundle.path} is for target {bundle.manifest.target} and holds no page",
            "a bundle of target web",
            "make one with: edge-fgir export --target web",
        )
    shown = [entry for entry in files if PurePosixPath(entry.path).parts[0] not in _NOT_SHOWN]
    return sorted(shown, key=lambda entry: -entry.size)


def page_server(bundle: Bundle, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of the bundle's files, for this machine alone; call ``serve_forever``.

    It hands out what the manifest lists and as it was sealed, and tells a browser no more than
    any host of static files does, but for the worker's policy.

    Args:
        bundle: A folder or zip.
        port: To listen on; 0: any that is free.

    Raises:
        InputError: The bundle is no page, or the port is taken.
    """
    page_entries(bundle)
    known = {entry.path for entry in bundle.manifest.files}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = unquote(urlsplit(self.path).path).removeprefix("/") or _INDEX
            if name != MANIFEST and name not in known:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            data = bundle.manifest.dump().encode() if name == MANIFEST else bundle.read(name)
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", _KINDS.get(PurePosixPath(name).suffix, _ANY_KIND))
            self.send_header("Content-Length", str(len(data)))
            if name == _WORKER:
                self.send_header("Content-Security-Policy", _POLICY)
            with suppress(ConnectionError):  # who asked went away
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing: who looks at the page sees what it does."""

    try:
        return ThreadingHTTPServer((_HERE, port), Handler)
    except OSError as error:
        raise InputError(
            f"port {port}: {error.strerror}", "a free one", "choose another --port"
        ) from error
