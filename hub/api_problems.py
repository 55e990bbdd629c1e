"""Every error of the API in one shape: RFC 9457 problem details, and never a traceback.

Rules
- `raise Refused(status, "why")` anywhere in a route; what the database or a parameter says becomes a problem here.
- The database away is 503 with Retry-After: the same request may be sent again.
- A parameter or a body that is not as described is 422, and the detail says what is allowed.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from hub.store import DatabaseUnavailable

PROBLEM_JSON = "application/problem+json"
DATABASE_RETRY_S = 2
COMPLAINTS_MAX = 10

log = structlog.get_logger()


class Refused(Exception):
    """The request will not be done; the text is for the one who sent it."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(msgspec.json.encode(body), status, headers, media_type=PROBLEM_JSON)


def unavailable() -> Response:
    return problem(503, "the database cannot be reached", {"Retry-After": str(DATABASE_RETRY_S)})


def install(app: FastAPI) -> None:
    """Everything that a route may raise as a problem."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DatabaseUnavailable, _unavailable)
    app.add_exception_handler(Exception, _crashed)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return problem(error.status, error.detail, error.headers)


async def _http(request: Request, error: Exception) -> Response:
    """What the router itself answers: 404, 405."""
    assert isinstance(error, HTTPException)
    details = {404: f"there is nothing at {request.url.path}", 405: f"{request.method} is not possible here"}
    return problem(error.status_code, details.get(error.status_code, str(error.detail)), error.headers)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem(422, "; ".join(_complaint(found) for found in error.errors()[:COMPLAINTS_MAX]))


async def _unavailable(_: Request, __: Exception) -> Response:
    return unavailable()


async def _crashed(request: Request, error: Exception) -> Response:
    """Ours to mend. The server logs the traceback, the client learns nothing from it."""
    log.error("request_crashed", method=request.method, path=request.url.path, error=type(error).__name__)
    return problem(500, "the hub failed at this request; its log says more")


def _complaint(found: Mapping[str, Any]) -> str:
    """ "query phase: Input should be 'active', 'open' …"; never the value, which may be a password."""
    return f"{' '.join(map(str, found['loc']))}: {found['msg']}"
