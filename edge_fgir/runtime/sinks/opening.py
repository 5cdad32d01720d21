"""``open_sink``: a word to a sink."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edge_fgir._addresses import HIDDEN, shown_address
from edge_fgir._errors import InputError
from edge_fgir.runtime.sinks.files import CsvFile, LinesFile
from edge_fgir.runtime.sinks.frigate import FrigateEvents
from edge_fgir.runtime.sinks.mqtt import MqttBroker
from edge_fgir.runtime.sinks.pictures import UncertainPictures
from edge_fgir.runtime.sinks.sink import Outlet, Sink
from edge_fgir.runtime.sinks.spool import Spool
from edge_fgir.runtime.sinks.webhook import Webhook

_OUTLETS: dict[str, Callable[[str], Outlet]] = {
    "jsonl": lambda rest: LinesFile(Path(rest)),
    "csv": lambda rest: CsvFile(Path(rest)),
    "mqtt": lambda rest: MqttBroker(f"mqtt:{rest}"),
    "mqtts": lambda rest: MqttBroker(f"mqtts:{rest}"),
    "http": lambda rest: Webhook(f"http:{rest}"),
    "https": lambda rest: Webhook(f"https:{rest}"),
    "frigate": FrigateEvents,
}
_EXPECTED = (
    "jsonl:FILE, csv:FILE, mqtt://host/topic, https://..., frigate:http://..., or pictures:FOLDER"
)


def open_sink(word: str, spool: Path | None = None) -> Sink:
    """Open a sink.

    Args:
        word: ``jsonl:FILE``, ``csv:FILE``, ``mqtt://user:password@host:port/topic`` (``mqtts://``
            with TLS), ``http://...`` or ``https://...`` for a webhook, ``frigate:http://...`` for
            the sub-labels of Frigate's events, or ``pictures:FOLDER``.
        spool: A folder that keeps undelivered events over a restart.

    Raises:
        InputError: There is no such kind, it cannot be written, or another process has its spool.
        MissingExtraError: MQTT needs paho-mqtt, and that is not installed.
    """
    kind, colon, rest = word.partition(":")
    if not colon or not rest:
        raise InputError(f"sink {shown_address(word)!r}", _EXPECTED)
    if kind == "pictures":
        return UncertainPictures(Path(rest))
    if kind not in _OUTLETS:
        raise InputError(f"sink {kind}:", _EXPECTED)
    outlet = _OUTLETS[kind](rest)
    if spool is None:
        return Spool(outlet)
    spool.mkdir(parents=True, exist_ok=True)
    return Spool(outlet, _spool_file(spool, word, outlet.name))


def _spool_file(folder: Path, word: str, name: str) -> Path:
    """Return the file for what waits for a sink; its name holds no secret of the address."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name)
    # Sinks may differ in signs that a file's name has not, or in what is hidden alone. So few
    # digits tell them apart, and are no test of a guess; user and password have no part in them.
    identity = word.rpartition("@")[2] if HIDDEN in name else word
    digits = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:4]
    file = folder / f"{plain.rstrip('_')}_{digits}.jsonl"
    # Earlier versions had the digits only where something behind the host is hidden.
    is_hidden = HIDDEN in name.rpartition("@")[2]
    earlier = folder / f"{plain}{digits if is_hidden else ''}.jsonl"
    if earlier.exists() and not file.exists():
        with suppress(FileNotFoundError):  # another sink was first
            earlier.rename(file)
    return file
