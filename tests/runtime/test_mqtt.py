"""The MQTT sink against a real broker, where mosquitto is installed."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from visits import event

from edge_fgir import InputError
from edge_fgir.runtime import open_sink
from edge_fgir.runtime.sinks import mqtt, spool
from edge_fgir.runtime.sinks.mqtt import MqttBroker
from edge_fgir.runtime.sinks.spool import Spool

pytestmark = pytest.mark.export

WAIT_S = 10.0


@pytest.fixture
def paho():
    pytest.importorskip("paho.mqtt", reason="paho-mqtt is not installed")
    from paho.mqtt import client

    return client


class Broker:
    """A mosquitto on a port of its own, which may be stopped and started again."""

    def __init__(self, program: str) -> None:
        self._program = program
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self, *options: str) -> None:
        options = options or ("-p", str(self.port))
        self._process = subprocess.Popen([self._program, *options], stderr=subprocess.DEVNULL)
        until(self._answers)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def broker(paho) -> Iterator[Broker]:
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    running = Broker(program)
    yield running
    running.stop()


@pytest.fixture
def heard(broker, paho):
    """What the broker sends to a subscriber of everything: topic, content, retained."""
    messages: list[tuple[str, str, bool]] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = lambda _c, _d, m: messages.append((m.topic, m.payload.decode(), m.retain))
    client.on_connect = lambda c, *_: c.subscribe("#", 1)
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    until(client.is_connected)
    yield messages
    client.disconnect()
    client.loop_stop()


def of(messages, topic: str) -> list[str]:
    return [content for name, content, _ in messages if name == topic]


def test_home_assistant_finds_a_sensor_and_its_events(broker, heard):
    with open_sink(f"mqtt://127.0.0.1:{broker.port}/garden/birds") as sink:
        sink.send(event(1, "decided"))
        sink.send(event(1))
        until(lambda: not sink.waiting)
    until(lambda: of(heard, "garden/birds/status") == ["online", "offline"])
    visits = [json.loads(content) for content in of(heard, "garden/birds")]
    assert visits == [event(1, "decided").to_dict(), event(1).to_dict()]
    (config,) = of(heard, "homeassistant/sensor/edge_fgir_garden_birds/config")
    values = json.loads(config)
    assert values["state_topic"] == values["json_attributes_topic"] == "garden/birds"
    assert values["availability_topic"] == "garden/birds/status"
    assert values["value_template"] == "{{ value_json.name }}"
    assert values["unique_id"] in values["device"]["identifiers"]


@pytest.mark.slow
def test_a_broker_that_was_down_gets_every_event(broker, heard, monkeypatch):
    monkeypatch.setattr(spool, "_RETRY_S", 0.5)
    with open_sink(f"mqtt://127.0.0.1:{broker.port}/garden") as sink:
        sink.send(event(1))
        until(lambda: not sink.waiting)
        broker.stop()
        for visit in (2, 3, 4):
            sink.send(event(visit))
        time.sleep(0.5)
        assert sink.waiting == 3
        broker.start()
        until(lambda: not sink.waiting)
        assert sink.lost == 0


def test_after_an_outage_without_events_we_are_online_again(broker, heard):
    outlet = MqttBroker(f"mqtt://127.0.0.1:{broker.port}/garden")
    with Spool(outlet) as sink:
        sink.send(event(1))
        until(lambda: not sink.waiting)
        outlet._client.socket().shutdown(socket.SHUT_RDWR)  # the broker publishes our will
        until(lambda: of(heard, "garden/status") == ["online", "offline", "online"])
        assert len(of(heard, "homeassistant/sensor/edge_fgir_garden/config")) == 2
        sink.send(event(2))
        until(lambda: not sink.waiting)
    assert [json.loads(content)["visit"] for content in of(heard, "garden")] == [1, 2]


def test_a_broker_too_slow_to_confirm_is_told_that_we_are_away(broker, heard, monkeypatch):
    outlet = MqttBroker(f"mqtt://127.0.0.1:{broker.port}/garden")
    outlet.deliver(event(1).to_dict())
    until(lambda: of(heard, "garden/status") == ["online"])
    monkeypatch.setattr(mqtt, "_ANSWER_S", 0.2)
    broker.pause()
    with pytest.raises(OSError, match="did not confirm"):
        outlet.deliver(event(2).to_dict())
    broker.go_on()
    until(lambda: of(heard, "garden/status")[-1] == "offline")
    monkeypatch.setattr(mqtt, "_ANSWER_S", WAIT_S)
    outlet.deliver(event(2).to_dict())
    until(lambda: of(heard, "garden/status")[-1] == "online")
    outlet.close()


def test_a_broker_that_refuses_us_is_down(broker, caplog, tmp_path):
    broker.stop()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {broker.port} 127.0.0.1\nallow_anonymous false\n")
    broker.start("-c", str(config))
    with open_sink(f"mqtt://me:secret@127.0.0.1:{broker.port}/garden") as sink:
        sink.send(event(1))
        until(lambda: "is down" in caplog.text)
        assert "mqtt://***@127.0.0.1" in caplog.text
        assert "secret" not in caplog.text
    assert sink.lost == 1


@pytest.mark.parametrize(
    "address",
    [
        *("mqtt://host", "mqtt:///topic", "mqtt://host/a/#", "mqtt://host/+"),
        *("mqtt:me:secret@host/topic", "mqtt://me:secret@host", "mqtt://me:sec/ret@host/topic"),
    ],
)
def test_an_address_needs_host_and_topic(address, paho):
    message = "(names no host or no topic|is no address); expected mqtt://host/topic"
    with pytest.raises(InputError, match=message) as caught:
        open_sink(address)
    assert not re.search("sec|ret", str(caught.value))


@pytest.mark.unit
def test_without_paho_it_says_what_to_install(monkeypatch):
    import sys

    for name in ("paho", "paho.mqtt", "paho.mqtt.client"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"paho-mqtt is not installed.*\[mqtt\]"):
        open_sink("mqtt://host/topic")
