"""Headless Chromium for tests and benchmarks: its DevTools protocol over two pipes, no driver."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--mute-audio", "--use-fake-ui-for-media-stream"),
)
_PATIENCE_S = 60.0
"""Until an answer of the browser counts as lost."""


class BrowserError(Exception):
    """What the browser, or a script in its page, says went wrong."""


class Browser:
    """One page in a Chromium of its own.

    Args:
        profile: An empty folder that it may fill.
        flags: More flags of its command line.
    """

    def __init__(self, profile: Path, flags: Sequence[str] = ()) -> None:
        assert CHROMIUM is not None
        to_browser, from_us = os.pipe()
        from_browser, to_us = os.pipe()
        # It reads from 3 and writes to 4. A shell puts them there: Python would have to fork for
        # that, of which JAX warns where it is loaded.
        given, taken = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_browser, to_us))
        self._process = subprocess.Popen(
            [
                *("bash", "-c", f'exec "$@" 3<&{given} 4>&{taken}', "bash"),
                *(CHROMIUM, *_FLAGS, *flags, "--remote-debugging-pipe"),
                *(f"--user-data-dir={profile}", "about:blank"),
            ],
            pass_fds=(given, taken),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (to_browser, to_us, given, taken):
            os.close(end)
        self._write, self._read = from_us, from_browser
        self._left, self._number, self.session = b"", 0, ""
        self.patience_s = _PATIENCE_S
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "DOM", "Network", "Log"):
            self.call(f"{domain}.enable")

    @property
    def pid(self) -> int:
        """The browser's process."""
        return self._process.pid

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its answer.

        Raises:
            BrowserError: It has none, or does not answer.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + self.patience_s
        while (found := self._next(end)).get("id") != self._number:
            if "method" in found:
                self.events.append(found)
        if "error" in found:
            raise BrowserError(f"{method}: {found['error']['message']}")
        result: dict[str, Any] = found["result"]
        return result

    def _next(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            part = os.read(self._read, 1 << 20) if ready else b""
            if not part:
                raise BrowserError("the browser says nothing any more")
            self._left += part
        text, self._left = self._left.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        return message

    def open(self, address: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """Return what an expression gives in the page, or what its promise comes to.

        Raises:
            BrowserError: It throws.
        """
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True,
            userGesture=True,
        )  # fmt: skip
        if "exceptionDetails" in answer:
            thrown = answer["exceptionDetails"]
            raise BrowserError(thrown.get("exception", thrown).get("description", thrown["text"]))
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = _PATIENCE_S) -> Any:
        """Wait until an expression is true in the page, and return what it gives.

        Raises:
            BrowserError: It never is.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with suppress(BrowserError):  # a page that is on its way knows nothing yet
                if found := self.run(condition):
                    return found
            time.sleep(0.05)
        raise BrowserError(f"{condition} did not come true; the page says: {self.text('body')}")

    def text(self, selector: str) -> str:
        """Return what a person reads in the first element that fits."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str) -> None:
        """Press the first element that fits."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file in a field for files."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def screenshot(self, file: Path, width: int, height: int, scheme: str = "light") -> None:
        """Write a PNG of the page as a screen of so many pixels shows it."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=media)
        time.sleep(0.3)
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        """End the browser."""
        with suppress(BrowserError, OSError):
            self.session = ""
            self.call("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
