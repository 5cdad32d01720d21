"""Events posted to a web address."""

from __future__ import annotations

import base64
import http.client
import json
from contextlib import suppress
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urljoin
from urllib.request import HTTPRedirectHandler, Request, build_opener

from edge_fgir._addresses import shown_address, split_address
from edge_fgir._errors import InputError
from edge_fgir.runtime.sinks.sink import RefusedError

_TIMEOUT_S = 10
# Of what a server refuses, these may be taken later: timeouts, and too many requests.
_LATER = (408, 425, 429)
_EXPECTED = "https://host/..., where a password's own signs are escaped: %2F for /"
# What has a meaning in an address, and "%": what is escaped stays so.
_KEPT = "%/:=&?~+!$,;'@()*[]"


class _NoRedirects(HTTPRedirectHandler):
    """Follows no redirect: urllib makes a GET without a body of a POST, which delivers nothing."""

    def http_error_302(self, *_: Any, **__: Any) -> None:
        """Leave the answer to who raises it as an error."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class Webhook:
    """One POST an event, its body the event as JSON; a redirect is a failure.

    Args:
        address: http:// or https://, also with user and password.

    Raises:
        InputError: It names no host.
    """

    def __init__(self, address: str) -> None:
        self.name = shown_address(address)
        parts = split_address(address, _EXPECTED)
        if not parts.hostname:
            raise InputError(f"{self.name} names no host", _EXPECTED)
        user, _, host = parts.netloc.rpartition("@")
        self._user = unquote(user)
        self._address = quote(parts._replace(netloc=host, fragment="").geturl(), safe=_KEPT)
        self._opener = build_opener(_NoRedirects)

    def deliver(self, values: dict[str, Any]) -> None:
        """Post an event."""
        self.post(values)

    def post(self, values: dict[str, Any], below: str = "") -> None:
        """Post values as JSON.

        Args:
            values: What JSON can say.
            below: Follows the address.

        Raises:
            RefusedError: The server will not take them, however often they are offered.
            OSError: It does not take them now.
        """
        body = json.dumps(values, ensure_ascii=False).encode()
        request = Request(self._address + below, body, {"Content-Type": "application/json"})
        if self._user:
            login = base64.b64encode(self._user.encode()).decode()
            request.add_header("Authorization", f"Basic {login}")
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S):
                pass
        except HTTPError as error:
            with error:
                answer = f"the server answers {error.code} {error.reason}"
                if 300 <= error.code < 400 and (location := error.headers.get("Location")):
                    answer += f": name {_named(request.full_url, location, below)} instead"
                if 400 <= error.code < 500 and error.code not in _LATER:
                    raise RefusedError(answer) from error
                raise OSError(answer) from error
        except http.client.HTTPException as error:
            raise OSError(f"no answer of HTTP ({type(error).__name__})") from error

    def close(self) -> None:
        """Nothing stays open."""


def _named(asked: str, location: str, below: str) -> str:
    """Return the address, as it is shown, that a redirect asks the user to name."""
    with suppress(ValueError):  # else it is no address, and shown as it came
        location = urljoin(asked, location)
    return shown_address(location.removesuffix(below))
