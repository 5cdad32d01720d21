"""Decisions as the sub-labels of Frigate's events.

Frigate's interface, as its source of 2026 has it (``frigate/api/event.py``,
``frigate/api/defs/request/events_body.py``): POST ``/api/events/<id>/sub_label`` with ``subLabel``,
at most 100 characters, and ``subLabelScore``, above 0 and at most 1; 404 where there is no such
event.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from edge_fgir._addresses import shown_address
from edge_fgir._errors import InputError
from edge_fgir.runtime.sinks.sink import RefusedError
from edge_fgir.runtime.sinks.webhook import Webhook

_LONGEST = 100
_LEAST_SCORE = 1e-6


class FrigateEvents:
    """Sets the sub-label of the event whose id is the visit's track; unknown visits set none.

    Args:
        address: Of Frigate, such as ``http://127.0.0.1:5000``.

    Raises:
        InputError: It is none.
    """

    def __init__(self, address: str) -> None:
        if not address.startswith(("http://", "https://")):
            raise InputError(f"sink frigate:{shown_address(address)}", "frigate:http://host:5000")
        self._server = Webhook(address.rstrip("/"))
        self.name = f"Frigate at {self._server.name}"

    def deliver(self, values: dict[str, Any]) -> None:
        """Post a visit's name and score."""
        if "track" not in values:
            raise RefusedError(
                f"visit {values['visit']} has no track: give Tracker.update(track=) Frigate's event"
            )
        if values["is_unknown"]:
            return
        event = quote(values["track"], safe="")
        body = {
            "subLabel": values["name"][:_LONGEST],
            "subLabelScore": min(max(values["score"], _LEAST_SCORE), 1.0),
        }
        self._server.post(body, f"/api/events/{event}/sub_label")

    def close(self) -> None:
        """Nothing stays open."""
