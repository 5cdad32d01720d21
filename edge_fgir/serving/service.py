"""The addresses of a server and what is done at each."""

from __future__ import annotations

import asyncio
import io
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from edge_fgir import __version__
from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir.runtime import Classifier, Counters, Result, read_image, usable_cores
from edge_fgir.serving.messages import Answer, Health, ModelInfo, Problem
from edge_fgir.serving.options import ServeOptions
from edge_fgir.serving.page import PAGE, PAGE_POLICY
from edge_fgir.serving.uploads import drop_upload, read_upload

_ABOUT = """Send the bytes of a picture file (JPEG, PNG, WebP, BMP, TIFF) as the body of
`POST /v1/predict`; odd files are converted, or refused, as everywhere in edge-fgir."""
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is no picture that can be used."},
    408: {"model": Problem, "description": "The picture did not arrive in time."},
    413: {"model": Problem, "description": "The picture file is too large."},
    503: {"model": Problem, "description": "Too many pictures wait; come back in a second."},
    504: {"model": Problem, "description": "The answer was not ready in time."},
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class Service:
    """One open bundle and its limits.

    Requests are counted, and admitted, by the one thread of the event loop; pictures are decoded
    and answered by others, of which there are as many as cores, and one.
    """

    def __init__(self, model: Classifier, options: ServeOptions) -> None:
        self._model, self._options = model, options
        self._converts = model.converts()
        self._threads = ThreadPoolExecutor(usable_cores() + 1, "edge-fgir-serve")
        self._counters = Counters()
        self._statuses: Counter[int] = Counter()
        self._pending = 0

    async def predict(
        self, request: Request, top: Annotated[int, Query(ge=1, le=1000)] = 5
    ) -> Answer:
        """Classify a picture."""
        try:
            answer = await self._predict(request, top)
        except HTTPException as error:
            self._statuses[error.status_code] += 1
            raise
        except Exception:
            self._statuses[500] += 1
            raise
        self._statuses[200] += 1
        return answer

    async def _predict(self, request: Request, top: int) -> Answer:
        seconds, most_bytes = self._options.seconds, int(self._options.max_megabytes * 1e6)
        end = time.monotonic() + seconds
        if self._pending >= self._options.waiting:
            waiting = f"{self._pending} pictures wait already"
            await drop_upload(request, most_bytes, seconds)
            raise HTTPException(503, waiting, headers={"Retry-After": "1"})
        self._pending += 1  # from here on, as what has arrived takes memory
        try:
            body = await read_upload(request, most_bytes, seconds)
        except BaseException:
            self._pending -= 1
            raise
        result = await self._answered(body, end - time.monotonic())
        self._counters.count(result)
        return Answer(**result.to_dict(top), latency_ms=round(result.timing.total_ms, 3))

    async def _answered(self, body: bytes, seconds: float) -> Result:
        file = io.BytesIO(body)
        work = self._threads.submit(self._answer, file)
        answer = asyncio.wrap_future(work)
        answer.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(answer), max(seconds, 0))
        except (asyncio.TimeoutError, TimeoutError):
            # Work that has begun cannot be ended: it keeps its place until it is done.
            if work.cancel():
                file.close()  # no thread has come to it yet: its bytes need not wait for one
            limit = f"{self._options.seconds:g} s"
            raise HTTPException(504, f"the answer was not ready within {limit}") from None
        except InputError as error:
            raise HTTPException(400, str(error)) from error
        except EdgeFgirError as error:
            raise HTTPException(503, str(error)) from error

    def _answer(self, file: io.BytesIO) -> Result:
        pixels = read_image(
            Path("the picture"),
            convert=self._converts,
            file=file,
            at_most=int(self._options.max_megapixels * 1e6),
        )
        return self._model(pixels, color="rgb")

    def _done(self, answer: asyncio.Future[Result]) -> None:
        self._pending -= 1
        if not answer.cancelled():
            answer.exception()  # of one that nobody waits for any more

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Answer a request whose parameters are none, as FastAPI does, and count it."""
        assert isinstance(error, RequestValidationError)
        self._statuses[422] += 1
        return await request_validation_exception_handler(request, error)

    async def describe(self) -> ModelInfo:
        """Say which bundle answers, and on what."""
        info = self._model.info
        fields = {name: info[name] for name in ModelInfo.model_fields if name != "labels"}
        return ModelInfo(**fields, labels=list(self._model.labels))

    async def health(self) -> Health:
        """Say that pictures are answered; 503 while too many wait."""
        if self._pending >= self._options.waiting:
            raise HTTPException(503, f"{self._pending} pictures wait")
        return Health(status="ok")

    async def metrics(self) -> PlainTextResponse:
        """Return what happened so far, in Prometheus' text format."""
        lines = [
            "# HELP edge_fgir_requests_total Answers by their HTTP status.",
            "# TYPE edge_fgir_requests_total counter",
            *(
                f'edge_fgir_requests_total{{status="{status}"}} {count}'
                for status, count in sorted(self._statuses.items())
            ),
            "# HELP edge_fgir_pictures_waiting Pictures that arrive, wait or are worked on.",
            "# TYPE edge_fgir_pictures_waiting gauge",
            f"edge_fgir_pictures_waiting {self._pending}",
        ]
        return PlainTextResponse(self._counters.text() + "\n".join(lines) + "\n")

    async def page(self) -> HTMLResponse:
        """Return a page on which a picture can be chosen, without anything from elsewhere."""
        return HTMLResponse(PAGE, headers={"Content-Security-Policy": PAGE_POLICY})


def make_app(model: Classifier, options: ServeOptions | None = None) -> FastAPI:
    """Return the ASGI application that serves an open bundle.

    Args:
        model: The bundle; it stays the caller's to close.
        options: Limits.
    """
    service = Service(model, options or ServeOptions())
    app = FastAPI(title="edge-fgir", version=__version__, description=_ABOUT)
    app.add_exception_handler(RequestValidationError, service.refuse)
    app.add_api_route("/", service.page, include_in_schema=False)
    app.add_api_route(
        "/v1/predict",
        service.predict,
        methods=["POST"],
        response_model_exclude_none=True,
        responses=_PROBLEMS,
        openapi_extra=_BODY,
    )
    app.add_api_route("/v1/model", service.describe)
    app.add_api_route("/health", service.health, responses={503: _PROBLEMS[503]})
    app.add_api_route("/metrics", service.metrics, response_class=PlainTextResponse)
    return app
