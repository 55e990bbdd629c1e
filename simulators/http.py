"""HTTP lines: a device that pushes its events, and one that is asked for them. The only home of aiohttp here.

- `HttpPush`: what is answered 2xx is accepted. Whatever is answered, the device hears of it.
- `HttpStream`: the answer is the device's stream of bytes and does not end. Nobody confirms it. What it is asked beside
  that (a door) it answers.
- `HttpAsked`: each request is a message to the device, what it says to it the answer.
With `username` in the scenario, whoever asks must log in (HTTP digest).
"""

import asyncio
import hashlib
import hmac
import random
import re
import secrets
from collections.abc import Sequence

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from simulators import clock
from simulators.device import Packet
from simulators.faults import disturbed, disturbed_alone, packet_of_noise
from simulators.stage import Member, Stage

ANSWER_S_MAX = 15.0
REALM = "simulated"
_PAIR = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


class HttpPush:
    """One device that posts to `host` and `port`, below `path`."""

    def __init__(self, members: Sequence[Member], stage: Stage) -> None:
        [member] = members
        self._members = members
        self._spec, self._device = member.spec, member.device
        self._stage = stage
        self._random: random.Random = stage.chance(members)

    async def run(self) -> None:
        """Until cancelled; raises only what the device raises."""
        self._device.connected(clock.now())
        while True:
            async with ClientSession(timeout=ClientTimeout(ANSWER_S_MAX)) as session:
                self._stage.counts.connections += 1
                await self._talk(session)

    async def _talk(self, session: ClientSession) -> None:
        """Until its time is over in a storm."""
        storm_s = self._stage.faults.reconnect_every_s
        hang_up_at = clock.monotonic() + storm_s if storm_s else None
        while hang_up_at is None or clock.monotonic() < hang_up_at:
            self._device.tick(clock.now())
            packets = self._device.to_send()
            for piece in disturbed_alone(packets, packet_of_noise, self._stage.faults, self._random):
                if piece.wait_s:
                    await clock.sleep(piece.wait_s)
                assert piece.data is not None
                await self._push(session, piece.data)
                self._stage.collect(self._members)
            await clock.sleep(self._stage.tick_s)

    async def _push(self, session: ClientSession, packet: Packet) -> None:
        method, _, path = packet.channel.partition(" ")
        url = f"http://{self._spec.host}:{self._spec.port}{self._spec.path}{path}"
        try:
            async with session.request(method, url, data=packet.data, headers=packet.headers) as answer:
                body = await answer.read()
        except (ClientError, OSError, TimeoutError):
            self._stage.counts.lost += 1
            return
        if answer.ok and packet.key is not None:
            self._device.confirm(packet.key)
        challenge = answer.headers.get("www-authenticate", "")
        told = packet.headers | {"status": str(answer.status), "www-authenticate": challenge}
        self._device.receive(Packet(packet.channel, body, packet.key, told), clock.now())


class _Asked:
    """Listens on `host` and `port`."""

    def __init__(self, members: Sequence[Member], stage: Stage) -> None:
        [member] = members
        self._members = members
        self._spec, self._device = member.spec, member.device
        self._stage = stage
        self._random: random.Random = stage.chance(members)
        self._nonce = secrets.token_hex(16)
        self._bug: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Until cancelled; raises what the device raises."""
        self._bug = asyncio.get_running_loop().create_future()
        runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._spec.host, self._spec.port).start()
            await self._bug
        finally:
            await runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._spec.username and not self._believes(request):
            challenge = f'Digest realm="{REALM}", nonce="{self._nonce}", qop="auth", algorithm=MD5'
            return web.Response(status=401, headers={"www-authenticate": challenge})
        answering = asyncio.ensure_future(self._answer(request))
        try:
            await asyncio.wait([answering])
        finally:
            answering.cancel()
        error = answering.exception()
        if error is not None and not isinstance(error, OSError) and self._bug is not None and not self._bug.done():
            self._bug.set_exception(error)
        return answering.result()

    def _believes(self, request: web.BaseRequest) -> bool:
        said = {
            name: quoted or plain for name, quoted, plain in _PAIR.findall(request.headers.get("authorization", ""))
        }
        login = _md5(f"{self._spec.username}:{REALM}:{self._spec.password}")
        asked = _md5(f"{request.method}:{request.path_qs}")
        parts = [said.get(name, "") for name in ("nonce", "nc", "cnonce", "qop")]
        right = _md5(":".join([login, *parts, asked]))
        return said.get("nonce") == self._nonce and hmac.compare_digest(right, said.get("response", ""))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        raise NotImplementedError


class HttpStream(_Asked):
    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path_qs.startswith(self._device.STREAM):
            return await self._stream(request)
        said = self._device.answer(request.method, request.path_qs, clock.now())
        return web.Response(status=404) if said is None else web.Response(body=said)

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        faults = self._stage.faults
        answer = web.StreamResponse(headers={"content-type": self._device.CONTENT_TYPE})
        await answer.prepare(request)
        self._stage.counts.connections += 1
        self._device.connected(clock.now())
        hang_up_at = clock.monotonic() + faults.reconnect_every_s if faults.reconnect_every_s else None
        while hang_up_at is None or clock.monotonic() < hang_up_at:
            self._device.tick(clock.now())
            for piece in disturbed(self._device.to_send(), faults, self._random):
                if piece.data is None:
                    return answer
                if piece.wait_s:
                    await clock.sleep(piece.wait_s)
                await answer.write(piece.data)
            self._stage.collect(self._members)
            await clock.sleep(self._stage.tick_s)
        return answer


class HttpAsked(_Asked):
    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self._stage.counts.connections += 1
        body = await request.read()
        self._device.receive(Packet(f"{request.method} {request.path_qs}", body), clock.now())
        give_up_at = clock.monotonic() + self._device.PATIENCE_S
        while not (packets := self._answers()) and clock.monotonic() < give_up_at:
            await clock.sleep(self._stage.tick_s)
        packet = packets[-1] if packets else Packet("", b"", headers={"status": "404"})
        headers = {name: value for name, value in packet.headers.items() if name != "status"}
        return web.Response(status=int(packet.headers.get("status", "200")), body=packet.data, headers=headers)

    def _answers(self) -> list[Packet]:
        self._device.tick(clock.now())
        packets: list[Packet] = self._device.to_send()
        self._stage.collect(self._members)
        return packets


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
