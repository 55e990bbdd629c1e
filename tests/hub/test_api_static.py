"""The console's files: headers, what may be kept, and no way out of their folder."""

import gzip
from pathlib import Path
from urllib.parse import unquote

import pytest

from hub.api_static import MEMORY_BYTES_MAX
from tests.hub.api_world import problem, world

SCRIPT = b"console.log('gridward');\n" * 100
CHINESE = "<!doctype html><title>乌镇</title>"


@pytest.fixture
def console(tmp_path: Path) -> Path:
    """A built console, and a secret beside it."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(CHINESE)
    (folder / "assets" / "index-B1x2.js").write_bytes(SCRIPT)
    (folder / "assets" / "worker-9.mjs").write_bytes(b"1")
    (folder / "assets" / "mark.png").write_bytes(b"\x89PNG" + bytes(2000))
    (folder / "map.pmtiles").write_bytes(bytes(range(256)) * 4)
    (folder / "large.json").write_bytes(b" " * (MEMORY_BYTES_MAX + 1))
    (folder / ".env").write_text("not this either")
    (tmp_path / "secret").write_text("not for browsers")
    (folder / "link.txt").symlink_to(tmp_path / "secret")
    return folder


async def test_the_page_and_its_headers(postgres: str, console: Path) -> None:
    async with world(postgres, console) as hub, hub.stranger() as browser:
        for path in ("/", "/index.html", "/incidents/7", "/gateways"):
            answer = await browser.get(path)
            assert answer.status_code == 200 and answer.text == CHINESE, path
            assert answer.headers["cache-control"] == "no-cache"
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            policy = answer.headers["content-security-policy"]
            for rule in (
                "script-src 'self'",
                "worker-src 'self' blob:",
                "img-src 'self' data: blob:",
                "connect-src 'self'",
                "style-src 'self' 'unsafe-inline'",
                "frame-ancestors 'none'",
            ):
                assert rule in policy.split("; "), rule
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"


async def test_hashed_files_may_be_kept_and_are_compressed(postgres: str, console: Path) -> None:
    async with world(postgres, console) as hub, hub.stranger() as browser:
        answer = await browser.get("/assets/index-B1x2.js")
        assert answer.content == SCRIPT and "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["content-encoding"] == "gzip" and int(answer.headers["content-length"]) < 200
        plain = await browser.get("/assets/index-B1x2.js", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers and plain.content == SCRIPT
        assert plain.headers["vary"] == "Accept-Encoding" and plain.headers["etag"] == answer.headers["etag"]
        assert (await browser.get("/assets/worker-9.mjs")).headers["content-type"].startswith("text/javascript")
        image = await browser.get("/assets/mark.png")
        assert "content-encoding" not in image.headers and image.headers["content-type"] == "image/png"


async def test_what_did_not_change_is_not_sent_again(postgres: str, console: Path) -> None:
    async with world(postgres, console) as hub, hub.stranger() as browser:
        for path in ("/", "/assets/index-B1x2.js", "/map.pmtiles"):
            tag = (await browser.get(path)).headers["etag"]
            again = await browser.get(path, headers={"If-None-Match": tag})
            assert again.status_code == 304 and again.content == b"", path
        (console / "index.html").write_text("a new build")
        tag = (await browser.get("/")).headers["etag"]
        assert (await browser.get("/", headers={"If-None-Match": tag})).status_code == 304
        assert (await browser.get("/")).text == "a new build"


async def test_maps_are_sent_in_parts(postgres: str, console: Path) -> None:
    async with world(postgres, console) as hub, hub.stranger() as browser:
        answer = await browser.get("/map.pmtiles", headers={"Range": "bytes=2-4"})
        assert answer.status_code == 206 and answer.content == bytes((2, 3, 4))
        assert answer.headers["content-security-policy"]
        large = await browser.head("/large.json")
        assert large.status_code == 200 and int(large.headers["content-length"]) == MEMORY_BYTES_MAX + 1


OUTSIDE = [
    "/../secret",
    "/assets/../../secret",
    "/..%2fsecret",
    "/%2e%2e/secret",
    "/%2e%2e%2fsecret.txt",
    "/assets/..%2f..%2fsecret",
    "//etc/passwd",
    "/link.txt",
    "/..\\secret",
    "/assets//../../secret",
    "/assets%00.js",
]


@pytest.mark.parametrize("path", OUTSIDE)
async def test_no_path_leads_out(postgres: str, console: Path, path: str) -> None:
    async with world(postgres, console) as hub, hub.stranger() as browser:
        # httpx would tidy the path; a server gets it as it is
        sent: list[dict[str, object]] = []

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {"type": "http", "method": "GET", "path": unquote(path), "query_string": b"", "headers": []}
        scope |= {"scheme": "http", "server": ("hub", 80), "client": ("127.0.0.1", 1), "http_version": "1.1"}
        await hub.app({**scope, "raw_path": path.encode(), "root_path": "", "asgi": {"version": "3.0"}}, receive, send)
        body = b"".join(message.get("body", b"") for message in sent)  # type: ignore[misc]
        assert b"not for browsers" not in body and b"root:" not in body
        assert sent[0]["status"] in (200, 404, 422)
        if sent[0]["status"] == 200:
            assert body.decode() == CHINESE
        assert (await browser.get("/")).status_code == 200


async def test_what_is_not_there(postgres: str, console: Path) -> None:
    async with world(postgres, console) as hub, hub.stranger() as browser:
        for path in ("/assets/gone-1.js", "/favicon.ico", "/missing.css"):
            problem(await browser.get(path), 404)
        problem(await browser.get("/api/nothing.js"), 401)
        posted = await browser.post("/")
        assert problem(posted, 405) and posted.headers["allow"] == "GET, HEAD"
        head = await browser.head("/")
        assert head.status_code == 200 and head.content == b""


async def test_dot_files_are_no_part_of_the_console(postgres: str, console: Path) -> None:
    async with world(postgres, console) as hub, hub.stranger() as browser:
        problem(await browser.get("/.env"), 404)


async def test_without_a_build_a_plain_page_says_what_to_do(postgres: str, tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        async with world(postgres, folder) as hub, hub.stranger() as browser:
            answer = await browser.get("/")
            assert "make setup" in answer.text and answer.headers["content-type"].startswith("text/html")
            assert answer.headers["content-security-policy"]
            problem(await browser.get("/assets/x.js"), 404)


async def test_the_compressed_file_is_the_file(postgres: str, console: Path) -> None:
    async with world(postgres, console) as hub, hub.stranger() as browser:
        async with browser.stream("GET", "/assets/index-B1x2.js") as answer:
            raw = b"".join([piece async for piece in answer.aiter_raw()])
        assert gzip.decompress(raw) == SCRIPT
