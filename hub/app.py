"""The hub's HTTP face as one ASGI application: `build(parts)`."""

from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import Response

from hub import (
    api_devices,
    api_document,
    api_enrolments,
    api_events,
    api_gateways,
    api_health,
    api_incidents,
    api_live,
    api_problems,
    api_reported,
    api_series,
    api_session,
    api_sites,
    api_zones,
)
from hub.api_document import problems
from hub.api_gate import Gate
from hub.api_lists import answer, only_known
from hub.api_parts import Parts
from hub.api_static import Console
from hub.auth import Auth

__all__ = ["Parts", "build"]

ROUTERS = (
    api_session.router,
    api_sites.router,
    api_zones.router,
    api_series.router,  # before the devices: see there
    api_reported.router,
    api_devices.router,
    api_events.router,
    api_incidents.router,
    api_gateways.router,
    api_enrolments.router,
    api_live.router,
)


def build(parts: Parts) -> FastAPI:
    """The application; every part is used as it is given and closed by whoever made it."""
    app = FastAPI(
        title="Gridward hub",
        version=parts.health()["version"],
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    auth = Auth(parts.store, parts.session_hours, parts.live.end)
    app.state.parts = parts
    app.state.auth = auth
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(only_known)])
    for router in ROUTERS:
        api.include_router(router, responses=problems(401, 422, 503))
    api.include_router(api_health.router, responses=problems(422))
    api.add_api_route("/openapi.json", _document(app), methods=["GET"], include_in_schema=False)
    app.include_router(api)
    app.include_router(api_health.metrics_router)
    app.router.default = Console(parts.console)  # after every route has had its say, a wrong method included
    app.add_middleware(Gate, auth=auth)
    api_problems.install(app)
    api_document.install(app)
    return app


def _document(app: FastAPI) -> Any:
    async def document() -> Response:
        return answer(app.openapi())

    return document
