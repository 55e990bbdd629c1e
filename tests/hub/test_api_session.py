"""Logging in and out, and the gate that every request passes."""

import asyncio
from datetime import datetime, timedelta

import httpx
import pytest
from structlog.testing import capture_logs

from hub import api_gate, clock
from hub.api_gate import BODY_BYTES_MAX, COOKIE, PUBLIC
from hub.auth import HASHES_AT_ONCE_MAX, HASHES_WAITING_MAX, Auth, Passwords, ensure_first_user
from hub.auth_attempts import FAILURES_OF_ADDRESS_MAX, FAILURES_OF_NAME_MAX, Attempts, TooManyAttempts
from tests.hub.api_world import NAME, PASSWORD, World, log_in, problem, until, world

LOGIN = "/api/v1/login"


async def test_a_login_gives_a_token_and_a_cookie_and_each_is_enough(postgres: str) -> None:
    async with world(postgres) as hub, hub.stranger() as browser, hub.stranger() as program:
        answer = await browser.post(LOGIN, json={"name": NAME, "password": PASSWORD})
        body = answer.json()
        assert set(body) == {"token", "name", "display_name", "role", "expires_at"} and body["role"] == "operator"
        cookie = answer.headers["set-cookie"]
        assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=3"))
        assert "Secure" not in cookie
        me = await browser.get("/api/v1/me")
        assert me.json() == {key: value for key, value in body.items() if key != "token"}
        by_token = await program.get("/api/v1/me", headers={"Authorization": f"Bearer {body['token']}"})
        assert by_token.json() == me.json()


async def test_over_https_the_cookie_is_secure(postgres: str) -> None:
    async with world(postgres) as hub, hub.stranger() as browser:
        answer = await browser.post(f"https://hub.test{LOGIN}", json={"name": NAME, "password": PASSWORD})
        assert "Secure" in answer.headers["set-cookie"]


async def test_the_database_holds_no_token_and_no_password(postgres: str) -> None:
    async with world(postgres) as hub, hub.stranger() as client:
        with capture_logs() as logs:
            token = await log_in(client)
            await client.post(LOGIN, json={"name": NAME, "password": "not the secret"})
        [user] = await hub.store.rows("user_by_name", name=NAME)
        assert user["password_hash"].startswith("$argon2id$")
        assert token not in str(logs) and PASSWORD not in str(logs) and "not the secret" not in str(logs)
        assert [(line["event"], line["actor"]) for line in logs] == [("login", NAME), ("login_refused", NAME)]


async def test_unknown_user_and_wrong_password_are_one_answer_after_the_same_work(postgres: str) -> None:
    async with world(postgres) as hub, hub.stranger() as client:
        passwords = hub.app.state.auth.passwords
        wrong = await client.post(LOGIN, json={"name": NAME, "password": "wrong"})
        after_wrong = passwords.checks
        unknown = await client.post(LOGIN, json={"name": "nobody", "password": "wrong"})
        assert passwords.checks == after_wrong + 1 == 2
        assert problem(wrong, 401) == problem(unknown, 401)
        assert {k: v for k, v in wrong.headers.items() if k != "date"} == dict(unknown.headers)


async def test_a_name_in_the_wrong_field_is_not_logged(postgres: str) -> None:
    async with world(postgres) as hub, hub.stranger() as client:
        with capture_logs() as logs:
            await client.post(LOGIN, json={"name": "hunter2", "password": "operator"})
        assert "hunter2" not in str(logs) and logs[0]["actor"] == "unknown"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": NAME},
        {"name": NAME, "password": 7},
        {"name": "", "password": "x"},
        {"name": "x" * 65, "password": "x"},
        {"name": NAME, "password": "x" * 1001},
        {"name": "a\0b", "password": "x"},
        {"name": NAME, "password": PASSWORD, "remember": True},
    ],
)
async def test_a_login_that_is_not_as_described_is_422(postgres: str, body: dict[str, object]) -> None:
    async with world(postgres) as hub, hub.stranger() as client:
        detail = problem(await client.post(LOGIN, json=body), 422)
        assert PASSWORD not in detail


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"name": "operator", "password": ', "application/json"),
        (b"name=operator&password=x", "application/x-www-form-urlencoded"),
        (b'{"name": "\\ud800", "password": "x"}', "application/json"),
        (b'{"name": "\xff", "password": "x"}', "application/json"),
        (b"[]", "application/json"),
        (b"[" * 20_000, "application/json"),
    ],
)
async def test_bytes_that_are_no_login_are_a_problem(postgres: str, content: bytes, kind: str) -> None:
    async with world(postgres) as hub, hub.stranger() as client:
        answer = await client.post(LOGIN, content=content, headers={"Content-Type": kind})
        assert answer.status_code in (400, 422)
        problem(answer, answer.status_code)
        assert str(answer.status_code) in hub.app.openapi()["paths"][LOGIN]["post"]["responses"]


async def test_too_many_failures_close_a_name_for_a_while(postgres: str) -> None:
    async with world(postgres) as hub:
        for number in range(FAILURES_OF_NAME_MAX):
            async with hub.stranger(f"10.0.0.{number}") as client:
                problem(await client.post(LOGIN, json={"name": NAME, "password": "guess"}), 401)
        async with hub.stranger("10.0.1.1") as client:
            answer = await client.post(LOGIN, json={"name": NAME, "password": PASSWORD})
            problem(answer, 429)
            assert 1 <= int(answer.headers["retry-after"]) <= 60


async def test_too_many_failures_close_an_address_and_no_other(postgres: str) -> None:
    async with world(postgres) as hub, hub.stranger("10.0.0.1") as bad, hub.stranger("10.0.0.2") as good:
        for number in range(FAILURES_OF_ADDRESS_MAX):
            problem(await bad.post(LOGIN, json={"name": f"user-{number}", "password": "guess"}), 401)
        problem(await bad.post(LOGIN, json={"name": NAME, "password": PASSWORD}), 429)
        await log_in(good)


async def test_logins_that_succeed_are_not_limited(postgres: str) -> None:
    async with world(postgres) as hub, hub.stranger() as client:
        for _ in range(FAILURES_OF_NAME_MAX + 2):
            await log_in(client)


def test_addresses_of_one_ipv6_customer_are_one() -> None:
    attempts = Attempts()
    for number in range(FAILURES_OF_ADDRESS_MAX):
        attempts.failed(f"2001:db8:1:2::{number:x}", f"user-{number}")
    with pytest.raises(TooManyAttempts):
        attempts.check("2001:db8:1:2:ffff::1", "somebody")
    attempts.check("2001:db8:1:3::1", "somebody")


async def test_hashing_is_bounded_and_says_so() -> None:
    passwords = Passwords()
    wishes = HASHES_AT_ONCE_MAX + HASHES_WAITING_MAX + 3
    found = await asyncio.gather(*(passwords.check(None, "x") for _ in range(wishes)), return_exceptions=True)
    assert sum(isinstance(answer, TooManyAttempts) for answer in found) == 3
    assert all(answer is False for answer in found if not isinstance(answer, TooManyAttempts))


async def test_the_first_user_is_created_once(postgres: str) -> None:
    async with world(postgres) as hub:
        assert not await ensure_first_user(hub.store, "second", "password")
        async with hub.stranger() as client:
            answer = await client.post(LOGIN, json={"name": "second", "password": "password"})
            problem(answer, 401)


async def test_two_hubs_that_start_at_once_make_one_first_user(postgres: str) -> None:
    async with world(postgres) as hub:
        async with hub.store.transaction() as tx:
            await tx.script("TRUNCATE users CASCADE")
        async with hub.store.transaction() as tx:  # one is creating it
            await tx.execute("users_lock")
            assert await tx.execute("user_first", name="one", display_name="one", password_hash="x") == 1
            other = asyncio.create_task(ensure_first_user(hub.store, "two", PASSWORD))
            await until(lambda: other.done() or hub.count("pg_locks WHERE NOT granted"), "the other's waiting")
        assert not await other
        assert hub.count("users") == 1


async def test_logging_out_ends_the_session_at_once(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client, hub.client() as other:
        assert (await client.get("/api/v1/me")).status_code == 200
        answer = await client.post("/api/v1/logout")
        assert answer.status_code == 204 and answer.content == b""
        assert f'{COOKIE}=""' in answer.headers["set-cookie"] and "Max-Age=0" in answer.headers["set-cookie"]
        problem(await client.get("/api/v1/me"), 401)
        assert (await other.get("/api/v1/me")).status_code == 200


async def test_a_session_ends_when_it_expires(postgres: str) -> None:
    async with world(postgres, session_hours=0.4 / 3600) as hub, hub.stranger() as client:
        token = await log_in(client)
        headers = {"Authorization": f"Bearer {token}"}
        client.cookies.clear()
        status, expires_at = 200, None
        while status == 200:
            asked_at = clock.now()
            answer = await client.get("/api/v1/me", headers=headers)
            status = answer.status_code
            if status == 200:
                expires_at = datetime.fromisoformat(answer.json()["expires_at"])
                assert asked_at < expires_at
        problem(answer, 401)
        assert expires_at is not None and clock.now() >= expires_at
        await log_in(client)  # which clears away what has expired
        assert hub.count("sessions") == 1


async def test_a_user_has_a_bounded_number_of_sessions(postgres: str) -> None:
    async with world(postgres) as hub, hub.stranger() as client:
        auth: Auth = hub.app.state.auth
        now = clock.now()
        for number in range(110):
            key, expires_at = number.to_bytes(32, "big"), now + timedelta(minutes=number + 1)
            await hub.store.execute("session_add", token_hash=key, name=NAME, expires_at=expires_at)
        await log_in(client)
        assert hub.count("sessions") == 100
        assert await auth.look_up((109).to_bytes(32, "big")) is not None
        assert await auth.look_up((0).to_bytes(32, "big")) is None


# --- the gate ------------------------------------------------------------------------------------


def routes(hub: World) -> list[tuple[str, str]]:
    """(method, path) of every operation, with something in place of its parameters."""
    paths = {**hub.app.openapi()["paths"], "/api/v1/openapi.json": {"get": {}}}
    return [
        (method.upper(), path.replace("{incident}", "1").replace("{", "").replace("}", ""))
        for path, operations in paths.items()
        for method in operations
    ]


async def test_every_route_but_health_and_login_needs_a_session(postgres: str) -> None:
    async with world(postgres) as hub, hub.stranger() as stranger:
        wanted = [(method, path) for method, path in routes(hub) if path.startswith("/api/")]
        assert len(wanted) == 34
        for method, path in wanted:
            answer = await stranger.request(method, path, json={} if method == "POST" else None)
            if path in PUBLIC:
                assert answer.status_code in (200, 422), path
            else:
                problem(answer, 401)
                assert answer.headers["www-authenticate"] == "Bearer"
        assert {path for _, path in wanted} >= PUBLIC


@pytest.mark.parametrize(
    "path", ["/api/v1/nothing", "/api/", "/api/v1/me/", "/api/v1/login/", "/api/v2/me", "/api/v1/health/x"]
)
async def test_what_is_not_there_says_nothing_to_strangers(postgres: str, path: str) -> None:
    async with world(postgres) as hub, hub.stranger() as stranger, hub.client() as client:
        problem(await stranger.get(path), 401)
        problem(await client.get(path), 404)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic b3BlcmF0b3I6eA=="},
        {"Authorization": "Bearer \xff\xfe"},
        {"Cookie": f"{COOKIE}=nonsense"},
        {"Cookie": f"{COOKIE}="},
    ],
)
async def test_a_wrong_token_is_401(postgres: str, headers: dict[str, str]) -> None:
    async with world(postgres) as hub, hub.stranger() as client:
        raw = {key: value.encode("latin-1") for key, value in headers.items()}
        problem(await client.get("/api/v1/me", headers=httpx.Headers(raw)), 401)


FOREIGN = [
    {"Origin": "http://evil.test"},
    {"Origin": "null"},
    {"Origin": "http://hub.test:81"},
    {"Origin": "http://["},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://hub.test", "Sec-Fetch-Site": "none"},
]
OWN: list[dict[str, str]] = [
    {},
    {"Origin": "http://hub.test"},
    {"Origin": "http://HUB.test", "Sec-Fetch-Site": "same-origin"},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_a_cookie_from_a_foreign_page_changes_nothing(postgres: str, headers: dict[str, str]) -> None:
    async with world(postgres) as hub, hub.stranger() as browser:
        token = await log_in(browser)
        problem(await browser.post("/api/v1/logout", headers=headers), 403)
        assert (await browser.get("/api/v1/me", headers=headers)).status_code == 200  # looking changes nothing
        problem(await browser.post(LOGIN, json={"name": NAME, "password": PASSWORD}, headers=headers), 403)
        browser.cookies.clear()
        by_token = {**headers, "Authorization": f"Bearer {token}"}
        assert (await browser.post("/api/v1/logout", headers=by_token)).status_code == 204


@pytest.mark.parametrize("headers", OWN)
async def test_a_cookie_from_our_own_page_works(postgres: str, headers: dict[str, str]) -> None:
    async with world(postgres) as hub, hub.stranger() as browser:
        await log_in(browser)
        assert (await browser.post("/api/v1/logout", headers=headers)).status_code == 204


async def test_a_body_is_bounded_whether_it_says_its_length_or_not(postgres: str) -> None:
    async def chunks() -> object:
        for _ in range(BODY_BYTES_MAX // 1000 + 1):
            yield b"x" * 1000

    async with world(postgres) as hub, hub.stranger() as client:
        problem(await client.post(LOGIN, content=b"x" * (BODY_BYTES_MAX + 1)), 413)
        problem(await client.post(LOGIN, content=chunks()), 413)
        problem(await client.post(LOGIN, content=b"{}", headers={"Content-Length": "-1"}), 413)


async def test_errors_of_the_router_are_problems(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        assert "POST" in problem(await client.post("/api/v1/sites"), 405)
        problem(await client.get(LOGIN), 405)
        problem(await client.get("/api/v1/devices/a%00b"), 422)
        problem(await client.get("/api/v1/devices?zone=a%00b"), 422)


async def test_our_own_failure_is_500_without_its_words(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        async with hub.store.transaction() as tx:
            await tx.script("ALTER TABLE sites RENAME COLUMN name_en TO secret_column")
        detail = problem(await client.get("/api/v1/sites"), 500)
        assert "name_en" not in detail and "Traceback" not in detail


async def test_answers_are_not_kept_on_the_way(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        for path in ("/api/v1/me", "/api/v1/health", "/api/v1/nothing"):
            answer = await client.get(path)
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"


async def test_a_body_that_never_ends_is_given_up(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def trickle() -> object:
        yield b"{"
        await asyncio.Event().wait()

    monkeypatch.setitem(vars(api_gate), "BODY_S_MAX", 0.05)
    async with world(postgres) as hub, hub.stranger() as client:
        problem(await client.post(LOGIN, content=trickle()), 408)
