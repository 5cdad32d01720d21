"""Where events go: files, an MQTT broker, a web address, a folder of pictures.

A ``Sink`` takes events. Files, brokers and addresses are outlets, which may fail: a ``Spool`` in
front of each keeps what they do not take.
"""

from edge_fgir.runtime.sinks.counters import Counters
from edge_fgir.runtime.sinks.opening import open_sink
from edge_fgir.runtime.sinks.sink import Sink

__all__ = ["Counters", "Sink", "open_sink"]
