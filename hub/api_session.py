"""Logging in, staying, logging out."""

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.requests import Request

from hub import clock
from hub.api_bodies import LoggedIn, Login, Me
from hub.api_document import problems
from hub.api_gate import COOKIE
from hub.api_lists import answer
from hub.api_parts import GivenAuth, Whose
from hub.api_problems import Refused
from hub.auth import Session, WrongPassword
from hub.auth_attempts import TooManyAttempts

router = APIRouter(tags=["session"])


@router.post("/login", response_model=LoggedIn, openapi_extra={"security": []}, responses=problems(400, 403, 413, 429))
async def login(request: Request, asked: Login, auth: GivenAuth) -> Response:
    """A token for the Authorization header, and the same as a cookie. Failures are limited by address and by name."""
    address = request.client.host if request.client else ""
    try:
        token, session = await auth.login(asked.name, asked.password, address)
    except WrongPassword:
        raise Refused(401, "no such user with this password") from None
    except TooManyAttempts as error:
        raise Refused(429, "too many failed logins", {"Retry-After": str(error.retry_after_s)}) from None
    response = answer({"token": token, **_me(session)})
    lasts_s = int((session.expires_at - clock.now()).total_seconds())
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, token, max_age=lasts_s, path="/", secure=secure, httponly=True, samesite="strict")
    return response


@router.post("/logout", status_code=204, response_model=None, responses=problems(403, 413))
async def logout(request: Request, auth: GivenAuth, session: Whose) -> Response:
    """The session is gone, its streams end, the cookie is cleared."""
    await auth.logout(session)
    response = Response(status_code=204)
    secure = request.url.scheme == "https"
    response.delete_cookie(COOKIE, path="/", secure=secure, httponly=True, samesite="strict")
    return response


@router.get("/me", response_model=Me)
async def me(session: Whose) -> Response:
    return answer(_me(session))


def _me(session: Session) -> dict[str, object]:
    return {
        "name": session.name,
        "display_name": session.display_name,
        "role": session.role,
        "expires_at": session.expires_at,
    }
