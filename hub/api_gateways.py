"""Gateways: their state, and commands to them."""

from fastapi import APIRouter
from fastapi.responses import Response

from hub.api_bodies import CommandAsked, CommandDone, Gateway
from hub.api_body import Listed
from hub.api_document import problems
from hub.api_lists import PAGE_ITEMS, Cursor, Limit, Text, answer, key_of, page
from hub.api_parts import Given, Whose
from hub.api_problems import Refused
from hub.gateways import gateway_view

router = APIRouter(tags=["gateways"])


@router.get("/gateways", response_model=Listed[Gateway])
async def gateways(parts: Given, limit: Limit = PAGE_ITEMS, cursor: Cursor = None) -> Response:
    """By gateway."""
    after = key_of("gateways", cursor, tuple[Text])
    rows = await parts.store.rows("gateways_page", after=after[0] if after else None, limit=limit + 1)
    return answer(page("gateways", rows, limit, lambda row: (row["gateway"],), gateway_view))


@router.post("/gateways/{gateway}/commands", response_model=CommandDone, responses=problems(400, 403, 404, 413))
async def command(gateway: str, asked: CommandAsked, parts: Given, session: Whose) -> Response:
    """Waits for the gateway's answer, up to 5 s. `unanswered` promises nothing: it may have been done, and may still be
    done until the moment that the reason names. `expired`: it came too late, and the gateway did nothing."""
    if not await parts.store.rows("gateway_exists", gateway=gateway):
        raise Refused(404, f"there is no gateway {gateway}")
    return answer(await parts.command(gateway, asked.action, asked.target, asked.value, session.name))
