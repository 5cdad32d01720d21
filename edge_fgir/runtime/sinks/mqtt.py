"""Events published to an MQTT broker, as Home Assistant finds them.

Of the topic ``garden/birds``: ``garden/birds`` has the events, ``garden/birds/status`` says
``online`` or ``offline`` (retained, by the broker itself where the app dies). A sensor is announced
under ``homeassistant/sensor/``: its state is the name of what was seen last, its attributes the
event.
https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

import json
import re
import threading
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from edge_fgir._addresses import shown_address, split_address
from edge_fgir._errors import InputError, MissingExtraError

_EXPECTED = "mqtt://host/topic, for example mqtt://127.0.0.1/garden/birds"
_PORT, _TLS_PORT = 1883, 8883
_ANSWER_S = 5.0
_KEEPALIVE_S = 30
_AT_LEAST_ONCE = 1


class MqttBroker:
    """A broker and a topic.

    Args:
        address: ``mqtt://user:password@host:port/topic``, or ``mqtts://`` with TLS.

    Raises:
        InputError: The address has no host or no topic.
        MissingExtraError: paho-mqtt is not installed.
    """

    def __init__(self, address: str) -> None:
        self._paho = _import_paho(address)
        self.name = shown_address(address)
        parts = split_address(address, _EXPECTED)
        self._topic = parts.path.strip("/")
        # "+" and "#" are for who listens; an address ends at "#".
        if not parts.hostname or not self._topic or "+" in self._topic or "#" in address:
            raise InputError(f"{self.name} names no host or no topic", _EXPECTED)
        self._is_secure = parts.scheme == "mqtts"
        self._host = parts.hostname
        self._port = parts.port or (_TLS_PORT if self._is_secure else _PORT)
        self._user = unquote(parts.username or ""), unquote(parts.password or "")
        self._client: Any = None

    def deliver(self, values: dict[str, Any]) -> None:
        """Publish an event, and wait until the broker has it."""
        client = self._client or self._connected()
        try:
            self._publish(client, self._topic, json.dumps(values, ensure_ascii=False))
        except OSError:
            # A client that stays would publish it later by itself, and the spool does so too. Who
            # leaves in order has no will: a broker that is only slow is told that we are away.
            with suppress(ValueError):
                client.publish(f"{self._topic}/status", "offline", _AT_LEAST_ONCE, retain=True)
            self._drop()
            raise

    def _connected(self) -> Any:
        client = self._paho.Client(self._paho.CallbackAPIVersion.VERSION2)
        if self._is_secure:
            client.tls_set()
        if self._user[0]:
            client.username_pw_set(*self._user)
        client.will_set(f"{self._topic}/status", "offline", _AT_LEAST_ONCE, retain=True)
        answered = threading.Event()
        answers: list[Any] = []

        def on_connect(client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
            # Also where paho connected again by itself: the broker has published our will by then.
            if not reason.is_failure:
                self._announce(client)
            answers.append(reason)
            answered.set()

        client.on_connect = on_connect
        client.connect(self._host, self._port, _KEEPALIVE_S)
        client.loop_start()
        self._client = client
        if not answered.wait(_ANSWER_S) or answers[0].is_failure:
            self._drop()
            raise OSError(f"the broker refuses: {answers[0]}" if answers else "no answer")
        return client

    def _announce(self, client: Any) -> None:
        """Publish who we are, and that we are there.

        Nobody waits for it: this is paho's own thread, and what it sends stays in order.
        """
        name = re.sub(r"\W+", "_", self._topic)
        config = {
            "name": None,
            "unique_id": f"edge_fgir_{name}",
            "state_topic": self._topic,
            "value_template": "{{ value_json.name }}",
            "json_attributes_topic": self._topic,
            "availability_topic": f"{self._topic}/status",
            "icon": "mdi:cctv",
            "device": {
                "identifiers": [f"edge_fgir_{name}"],
                "name": self._topic.replace("/", " "),
                "manufacturer": "edge-fgir",
            },
        }
        announced = {
            f"homeassistant/sensor/edge_fgir_{name}/config": json.dumps(config, ensure_ascii=False),
            f"{self._topic}/status": "online",
        }
        for topic, text in announced.items():
            client.publish(topic, text, _AT_LEAST_ONCE, retain=True)

    def _publish(self, client: Any, topic: str, text: str, *, retain: bool = False) -> None:
        try:
            message = client.publish(topic, text, _AT_LEAST_ONCE, retain=retain)
            message.wait_for_publish(_ANSWER_S)
        except (RuntimeError, ValueError) as error:
            raise OSError(str(error)) from error
        if not message.is_published():
            raise OSError("the broker did not confirm")

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:  # who closes does not wait for who delivers
            client.disconnect()
            client.loop_stop()

    def close(self) -> None:
        """Say goodbye."""
        if self._client is not None:
            with suppress(OSError):  # the broker says it by itself
                self._publish(self._client, f"{self._topic}/status", "offline", retain=True)
            self._drop()


def _import_paho(address: str) -> Any:
    try:
        from paho.mqtt import client
    except ImportError as error:
        raise MissingExtraError("paho-mqtt", "mqtt", shown_address(address)) from error
    return client
