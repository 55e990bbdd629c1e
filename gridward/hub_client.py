"""The hub's public HTTP API as this command line uses it: what an operator's console does, without the console."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

REQUEST_S_MAX = 15.0
PAGE_ITEMS = 200


class HubError(Exception):
    """The hub did not answer, or refused; the text carries its own words."""


class HubClient:
    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=REQUEST_S_MAX, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def healthy(self) -> bool:
        """Whether the hub answers and says that everything it needs is there."""
        try:
            found = self._ask("GET", "/api/v1/health")
        except HubError:
            return False
        return found.get("status") == "ok"

    def health(self) -> dict[str, Any]:
        return self._ask("GET", "/api/v1/health")

    def login(self, name: str, password: str) -> None:
        token = self._ask("POST", "/api/v1/login", {"name": name, "password": password})["token"]
        self._client.headers["Authorization"] = f"Bearer {token}"

    def logout(self) -> None:
        self._ask("POST", "/api/v1/logout")

    def unknown_devices(self, gateway: str, since: datetime) -> list[dict[str, Any]]:
        """What the gateway said of devices that are not enrolled, newest first: its `unknown_device` events."""
        found = self._items(
            "/api/v1/events", **{"device": f"gateway:{gateway}", "class": "event", "from": since.isoformat()}
        )
        return [event for event in found if event["kind"] == "unknown_device"]

    def strangers(self, gateway: str = "") -> list[dict[str, Any]]:
        """Who knocked at the gateway, or at any, without being enrolled; the newest first."""
        return self._items("/api/v1/strangers", limit=PAGE_ITEMS, **({"gateway": gateway} if gateway else {}))

    def enrolments(self) -> list[dict[str, Any]]:
        return self._items("/api/v1/enrolments", limit=PAGE_ITEMS)

    def enrol(self, **asked: Any) -> dict[str, Any]:
        """Tell a gateway of a device (docs/api.md); its enrolment."""
        return self._ask("POST", "/api/v1/enrolments", asked)

    def withdraw(self, gateway: str, device: str) -> None:
        self._ask("DELETE", f"/api/v1/enrolments/{quote(gateway, safe='')}/{quote(device, safe='')}")

    def command(self, gateway: str, action: str, target: str, value: str) -> dict[str, Any]:
        """{nonce, result, reason}, after at most a few seconds (docs/api.md)."""
        path = f"/api/v1/gateways/{quote(gateway, safe='')}/commands"
        return self._ask("POST", path, {"action": action, "target": target, "value": value})

    def gateways(self) -> list[dict[str, Any]]:
        return self._items("/api/v1/gateways")

    def devices(self) -> list[dict[str, Any]]:
        return self._items("/api/v1/devices", limit=PAGE_ITEMS)

    def incidents(self, phase: str = "") -> list[dict[str, Any]]:
        """All incidents, or those in `phase` ("active": not closed)."""
        return self._items("/api/v1/incidents", limit=PAGE_ITEMS, **({"phase": phase} if phase else {}))

    def incident(self, number: int) -> dict[str, Any]:
        """One incident with its steps and alarms."""
        return self._ask("GET", f"/api/v1/incidents/{number}")

    def seen(self, incident: dict[str, Any]) -> None:
        """An operator has this incident, as `incident` answered it, on the screen: the fourth time of its alarms."""
        self._ask("POST", f"/api/v1/incidents/{incident['incident']}/seen", {"through": incident["through"]})

    def step(self, incident: dict[str, Any], action: str, reason: str = "", isolated: bool = False) -> dict[str, Any]:
        """Step on the version that we looked at; raises HubError when it has moved on or may not."""
        body: dict[str, Any] = {"action": action}
        body |= {"reason": reason} if reason else {}
        body |= {"isolated": True} if isolated else {}
        headers = {"If-Match": f'"{incident["version"]}"'}
        return self._ask("POST", f"/api/v1/incidents/{incident['incident']}/steps", body, headers)

    def _items(self, path: str, **query: str | int) -> list[dict[str, Any]]:
        """Every item of a paged list."""
        items: list[dict[str, Any]] = []
        while True:
            page = self._ask("GET", str(httpx.URL(path, params=query)))
            items += page["items"]
            if not page.get("next_cursor"):
                return items
            query["cursor"] = page["next_cursor"]

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        try:
            answer = self._client.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise HubError(f"{method} {path}: {error or type(error).__name__}") from error
        if answer.is_error:
            raise HubError(f"{method} {path}: {answer.status_code} {_problem(answer)}")
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found


def _problem(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
    except ValueError:
        return answer.reason_phrase
    return str(problem.get("detail") or problem.get("title") or answer.reason_phrase)
