"""The OpenAPI document: what FastAPI writes, with our problems as the errors, and behind the same login as the rest."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from hub.api_bodies import Problem
from hub.api_gate import COOKIE
from hub.api_problems import PROBLEM_JSON

ABOUT = """The hub of Gridward. Log in, then send the token as `Authorization: Bearer …`; a browser sends its cookie.
Errors are RFC 9457 problem details. Times are ISO 8601, UTC. Places are WGS-84."""

ERRORS: dict[int, str] = {
    400: "the body cannot be read at all",
    401: "not logged in",
    403: "from a page of another origin",
    404: "not there",
    409: "not possible in this phase, or an alarm is still raised",
    412: "the incident has moved on; the detail says its version now",
    413: "more than 64 KiB",
    422: "a parameter or the body is not as described",
    428: "If-Match is missing",
    429: "too many failures; Retry-After says when",
    503: "the database cannot be reached; Retry-After says when to try again",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route."""
    return {status: {"model": Problem, "description": ERRORS[status]} for status in statuses}


def install(app: FastAPI) -> None:
    """`app.openapi()` gives the document; made once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=ABOUT, routes=app.routes, openapi_version="3.1.0"
    )
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
    }
    document["security"] = [{"token": []}, {"cookie": []}]
    for methods in document["paths"].values():
        for operation in methods.values():
            _mend(operation["responses"])
    return document


def _mend(responses: dict[str, Any]) -> None:
    """Problems have a media type of their own."""
    for response in responses.values():
        content = response.get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if schema.get("$ref") == "#/components/schemas/Problem":
            content[PROBLEM_JSON] = content.pop("application/json")
