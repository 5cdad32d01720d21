"""No test reaches another machine, and neither does anything we run in this process."""

from __future__ import annotations

import socket
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from _pytest.outcomes import Failed

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, ("192.0.2.1", 80)),
        (socket.AF_INET, ("example.org", 80)),
        (socket.AF_INET6, ("2001:db8::1", 80)),
    ],
)
def test_connections_to_other_machines_fail_the_test(method, family, address) -> None:
    with socket.socket(family) as ours, pytest.raises(Failed, match="the network was used"):
        getattr(ours, method)(address)


def test_datagrams_that_find_the_own_address_fail_the_test() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        pytest.raises(Failed, match=r"the network was used: 192\.0\.2\.1"),
    ):
        ours.connect(("192.0.2.1", 80))


@pytest.mark.parametrize("host", ["example.org", b"example.org", "192.0.2.1"])
def test_name_lookups_fail_the_test(host) -> None:
    with pytest.raises(Failed, match="the network was used"):
        socket.getaddrinfo(host, 80)


def test_libraries_cannot_swallow_it() -> None:
    def download():
        try:
            socket.create_connection(("example.org", 443))
        except Exception:
            return "offline, never mind"

    with pytest.raises(Failed):
        download()


class _Hello(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_can_be_reached(host, monkeypatch: pytest.MonkeyPatch) -> None:
    for proxy in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hello) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with urllib.request.urlopen(f"http://{host}:{server.server_port}") as answer:
            assert answer.read() == b"hello"
        server.shutdown()
