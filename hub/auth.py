"""Who somebody is: passwords, sessions, and the first user. The only home of argon2.

Rules
- A password is stored as argon2id. An unknown name is answered after the same work and with the same words as a wrong
  password.
- A session is a random token of TOKEN_BYTES that only its owner has; the database holds its sha256. It ends when it
  expires, is logged out, or makes room for a newer one of its user: in this process at once, `ended` is told.
- A session that was looked up is trusted for SESSION_CACHE_S: the database is not asked for each request, and one that
  was ended by another hub is noticed after that.
- Hashing is done in threads, HASHES_AT_ONCE_MAX at a time, and HASHES_WAITING_MAX may wait.
- Passwords, tokens and addresses are never logged.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from hashlib import sha256

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Struct

from hub import clock
from hub.auth_attempts import Attempts, TooManyAttempts
from hub.store import Store

TOKEN_BYTES = 32
SESSION_CACHE_S = 2.0
SESSION_CACHE_MAX = 1_000
SESSIONS_OF_USER_MAX = 100  # the ones that end first make room
HASHES_AT_ONCE_MAX = 2
HASHES_WAITING_MAX = 32
BUSY_RETRY_S = 1

log = structlog.get_logger()
_hasher = PasswordHasher()


class WrongPassword(Exception):
    """No user of that name has that password."""


class Session(Struct, frozen=True):
    """`key` is the sha256 of the token."""

    key: bytes
    name: str
    display_name: str
    role: str
    expires_at: datetime


class Passwords:
    """Hashing and checking, off the event loop and bounded."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(HASHES_AT_ONCE_MAX)
        self._inside = 0
        self._nobody: str | None = None  # what an unknown name's password is compared with
        self.checks = 0  # how often argon2 did its work

    async def check(self, stored: str | None, password: str) -> bool:
        """Whether `password` is the stored one; the same work when nothing is stored. Raises TooManyAttempts."""
        if self._inside >= HASHES_AT_ONCE_MAX + HASHES_WAITING_MAX:
            raise TooManyAttempts(BUSY_RETRY_S)
        self._inside += 1
        try:
            async with self._slots:
                if self._nobody is None:
                    self._nobody = await asyncio.to_thread(_hasher.hash, secrets.token_urlsafe())
                fits = await asyncio.to_thread(self._fits, stored or self._nobody, password)
        finally:
            self._inside -= 1
        return fits and stored is not None

    def _fits(self, stored: str, password: str) -> bool:
        self.checks += 1
        try:
            return _hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


class Auth:
    """Logging in, staying and logging out. `ended` is called with the key of each session that ends before its time."""

    def __init__(self, store: Store, session_hours: float, ended: Callable[[bytes], None]) -> None:
        self._store = store
        self._ended = ended
        self._lasts = timedelta(hours=session_hours)
        self._attempts = Attempts()
        self._cache: dict[bytes, tuple[float, Session]] = {}
        self._ends = 0
        self.passwords = Passwords()

    async def login(self, name: str, password: str, address: str) -> tuple[str, Session]:
        """(token, session). Raises WrongPassword, TooManyAttempts, DatabaseUnavailable."""
        self._attempts.check(address, name)
        rows = await self._store.rows("user_by_name", name=name)
        fits = await self.passwords.check(rows[0]["password_hash"] if rows else None, password)
        self._attempts.check(address, name)  # others may have failed while this one waited for its turn
        if not fits:
            self._attempts.failed(address, name)
            log.warning("login_refused", actor=name if rows else "unknown")
            raise WrongPassword
        token = secrets.token_urlsafe(TOKEN_BYTES)
        now = clock.now()
        expires_at = now + self._lasts
        async with self._store.transaction() as tx:
            await tx.execute("sessions_expire", now=now)
            await tx.execute("session_add", token_hash=_key(token), name=name, expires_at=expires_at)
            trimmed = await tx.rows("sessions_trim", name=name, keep=SESSIONS_OF_USER_MAX)
        self._end(row["token_hash"] for row in trimmed)
        log.info("login", actor=name)
        return token, Session(_key(token), name, rows[0]["display_name"], rows[0]["role"], expires_at)

    async def session(self, token: str) -> Session | None:
        """The session of a token while it lasts; raises DatabaseUnavailable."""
        key = _key(token)
        held = self._cache.get(key)
        if held is not None and clock.monotonic() - held[0] < SESSION_CACHE_S:
            return held[1] if held[1].expires_at > clock.now() else None
        return await self.look_up(key)

    async def look_up(self, key: bytes) -> Session | None:
        """The same by the session's key, from the database."""
        began, ends = clock.monotonic(), self._ends
        rows = await self._store.rows("session_by_key", token_hash=key, now=clock.now())
        if not rows:
            self._cache.pop(key, None)
            return None
        session = Session(key, **rows[0])
        if len(self._cache) >= SESSION_CACHE_MAX:
            self._cache.clear()
        if ends == self._ends:  # else it may be one that was ended while we asked
            self._cache[key] = (began, session)
        return session

    async def logout(self, session: Session) -> None:
        """The token is worth nothing afterwards."""
        await self._store.execute("session_end", token_hash=session.key)
        self._end([session.key])
        log.info("logout", actor=session.name)

    def _end(self, keys: Iterable[bytes]) -> None:
        self._ends += 1
        for key in keys:
            self._cache.pop(key, None)
            self._ended(key)


async def ensure_first_user(store: Store, name: str, password: str) -> bool:
    """Create this user when there is no user yet; whether it was created."""
    if await store.rows("users_any"):
        return False
    hashed = await asyncio.to_thread(_hasher.hash, password)
    async with store.transaction() as tx:
        await tx.execute("users_lock")
        made = await tx.execute("user_first", name=name, display_name=name, password_hash=hashed)
    if made:
        log.info("first_user_created", actor=name)
    return bool(made)


def _key(token: str) -> bytes:
    return sha256(token.encode()).digest()
