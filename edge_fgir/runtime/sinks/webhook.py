"""Events posted to a web address."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, unquote
from urllib.request import Request, urlopen

from edge_fgir._addresses import shown_address, split_address
from edge_fgir._errors import InputError
from edge_fgir.runtime.sinks.sink import RefusedError

_TIMEOUT_S = 10
# Of what a server refuses, these may be taken later: timeouts, and too many requests.
_LATER = (408, 425, 429)
_EXPECTED = "https://host/..., where a password's own signs are escaped: %2F for /"
# What has a meaning in an address, and "%": what is escaped stays so.
_KEPT = "%/:=&?~+!$,;'@()*[]"


class Webhook:
    """One POST an event, its body the event as JSON.

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
            # Not for whom the server sends us to.
            request.add_unredirected_header("Authorization", f"Basic {login}")
        try:
            with urlopen(request, timeout=_TIMEOUT_S):
                pass
        except HTTPError as error:
            with error:
                answer = f"the server answers {error.code} {error.reason}"
                if 400 <= error.code < 500 and error.code not in _LATER:
                    raise RefusedError(answer) from error
                raise OSError(answer) from error
        except http.client.HTTPException as error:
            raise OSError(f"no answer of HTTP ({type(error).__name__})") from error

    def close(self) -> None:
        """Nothing stays open."""
