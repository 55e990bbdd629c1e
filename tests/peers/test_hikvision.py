"""Hikvision's pushed events as an ISAPI client posts them: httpx makes the multipart body, the edge's link answers."""

from pathlib import Path

import httpx

from devices.families import hikvision, hikvision_push
from devices.observation import Alarm
from edge.links_http import Guard, HttpServer
from tests.devices.messages import HIKVISION_FORCED
from tests.edge.wired import behind

TERMINAL = "88:de:39:5d:b5:e1"
PICTURE = b"\xff\xd8 a picture \xff\xd9"


async def test_an_event_with_a_picture_is_stored_then_answered(tmp_path: Path) -> None:
    async with behind(tmp_path) as made:
        wiring = made.wiring(hikvision.Settings(), TERMINAL)
        server = HttpServer(wiring, hikvision_push.FAMILY, Guard(), host="127.0.0.1", port=0, connections_max=2)
        await server.open()
        try:
            parts = {
                "AccessControllerEvent": (None, HIKVISION_FORCED.encode(), "application/json"),
                "Picture": ("door.jpg", PICTURE, "image/jpeg"),
            }
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.post(f"http://127.0.0.1:{server.port}/events", files=parts)
            assert answer.status_code == 200
            kinds = [row.body.kind for row in made.rows() if isinstance(row.body, Alarm) and row.body.raised]
            assert kinds == ["door_forced"]
        finally:
            server.stop_reading()
            await server.close()
