"""How the hub is: for people and monitors without a login, and for Prometheus on this machine."""

from ipaddress import IPv6Address, ip_address

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.requests import Request

from hub.api_bodies import Health
from hub.api_document import problems
from hub.api_lists import answer
from hub.api_parts import Given
from hub.api_problems import Refused

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")

router = APIRouter(tags=["health"])
metrics_router = APIRouter(tags=["health"])


@router.get("/health", response_model=Health, responses={503: {"model": Health}}, openapi_extra={"security": []})
async def health(parts: Given) -> Response:
    """503 while the database or the broker is away."""
    body = parts.health()
    return answer(body, 200 if body["status"] == "ok" else 503)


@metrics_router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(403)},
    openapi_extra={"security": []},
)
async def metrics(request: Request, parts: Given) -> Response:
    """Prometheus text; only for this machine, and not through a proxy."""
    peer = request.client.host if request.client else ""
    if not _loopback(peer) or any(name in request.headers for name in FORWARDED):
        raise Refused(403, "only from this machine")
    return Response(parts.metrics(), media_type=METRICS_TYPE)


def _loopback(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped.is_loopback
    return found.is_loopback
