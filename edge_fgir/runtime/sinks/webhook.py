"""Events posted to a web address."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from edge_fgir.runtime.sinks.sink import RefusedError

_TIMEOUT_S = 10
# Of what a server refuses, these may be taken later: timeouts, and too many requests.
_LATER = (408, 425, 429)


class Webhook:
    """One POST an event, its body the event as JSON.

    Args:
        address: http:// or https://.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        # What follows the host may be a secret as well, and often is.
        self.name = re.sub(r"//.*@", "//***@", address).partition("?")[0]

    def deliver(self, values: dict[str, Any]) -> None:
        """Post an event."""
        post(self._address, values)

    def close(self) -> None:
        """Nothing stays open."""


def post(address: str, values: dict[str, Any]) -> None:
    """Post values as JSON.

    Raises:
        RefusedError: The server will not take them, however often they are offered.
        OSError: It does not take them now.
    """
    body = json.dumps(values, ensure_ascii=False).encode()
    request = Request(address, body, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=_TIMEOUT_S):
            pass
    except HTTPError as error:
        with error:
            if 400 <= error.code < 500 and error.code not in _LATER:
                raise RefusedError(f"the server answers {error.code} {error.reason}") from error
            raise OSError(f"the server answers {error.code} {error.reason}") from error
    except http.client.HTTPException as error:
        raise OSError(f"no answer of HTTP ({error!r})") from error
