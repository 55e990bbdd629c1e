"""How often logging in may fail, by address and by name. The only home of limits; in memory, so each hub by itself.

Only failures count: a control room behind one address is not locked out by its own shifts. A name that somebody guesses
at is closed to everybody for the rest of the window, which is why the window is one minute.
"""

from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from math import ceil

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from hub import clock

FAILURES_OF_ADDRESS_MAX = 20  # a minute
FAILURES_OF_NAME_MAX = 10  # a minute

_OF_ADDRESS = RateLimitItemPerMinute(FAILURES_OF_ADDRESS_MAX, namespace="address")
_OF_NAME = RateLimitItemPerMinute(FAILURES_OF_NAME_MAX, namespace="name")


class TooManyAttempts(Exception):
    """Not now; `retry_after_s` says when."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Attempts:
    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def check(self, address: str, name: str) -> None:
        """Raises TooManyAttempts when either has failed too often."""
        for item, key in _keys(address, name):
            if not self._limiter.test(item, key):
                reset_at = self._limiter.get_window_stats(item, key).reset_time
                raise TooManyAttempts(max(1, ceil(reset_at - clock.now().timestamp())))

    def failed(self, address: str, name: str) -> None:
        for item, key in _keys(address, name):
            self._limiter.hit(item, key)


def _keys(address: str, name: str) -> tuple[tuple[RateLimitItemPerMinute, str], ...]:
    """Names as digests, so that memory holds nothing that somebody typed into the wrong field."""
    return ((_OF_ADDRESS, _network(address)), (_OF_NAME, sha256(name.encode(errors="replace")).hexdigest()))


def _network(address: str) -> str:
    """The address; of IPv6 the half that one customer has."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(int(found) >> 64) if isinstance(found, IPv6Address) and not found.ipv4_mapped else str(found)
