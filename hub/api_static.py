"""The built console: files below `hub/console/dist`, and nothing else.

Rules
- Only files that were there at the start are served, by the names they had then: no path is ever joined with what a
  client sent. A path without a dot is a page of the console and gets index.html.
- What Vite names by its content (below /assets/) may be kept for ever, everything else is asked for again each time.
- Text is compressed once, when it is first asked for. Large files (maps) are sent in parts when asked so.
- The browser runs only scripts that came from here.
"""

import asyncio
import gzip
import mimetypes
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from fastapi.responses import FileResponse, Response
from msgspec import Struct
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from hub.api_gate import API
from hub.api_problems import problem

IMMUTABLE = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
GZIP_BYTES_MIN = 1_000
MEMORY_BYTES_MAX = 8_000_000  # a larger file is sent from the disk
FILES_MAX = 10_000
TEXT = ("text/", "application/json", "application/javascript", "application/manifest+json", "image/svg+xml")
TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".woff2": "font/woff2",
    ".webmanifest": "application/json",
}
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "worker-src 'self' blob:",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}
NOT_BUILT = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Gridward</title>
<p>The console is not built. Run <code>make setup</code> and restart the hub. The API is below /api/v1.</p></html>"""


class Page(Struct):
    """One small file in memory; `packed` is its gzip, made when it is first asked for."""

    content: bytes
    etag: str
    packed: bytes | None = None


class Console:
    """An ASGI application for everything that is not the API."""

    def __init__(self, folder: Path | None) -> None:
        self._files = _files(folder) if folder is not None and (folder / "index.html").is_file() else {}
        self._pages: dict[str, Page] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        if request.method not in ("GET", "HEAD"):
            return problem(405, f"{request.method} is not possible here", {"Allow": "GET, HEAD"})
        if path.startswith(API):
            return problem(404, f"there is nothing at {path}")
        name = path.removeprefix("/")
        if name not in self._files and "." not in name:
            name = "index.html"
            if not self._files:
                return Response(NOT_BUILT, 503, {**SECURITY, "Cache-Control": ASK_AGAIN}, media_type="text/html")
        file = self._files.get(name)
        if file is None:
            return problem(404, f"there is nothing at {path}", SECURITY)
        return await self._file(request, name, file)

    async def _file(self, request: Request, name: str, file: Path) -> Response:
        headers = {**SECURITY, "Cache-Control": IMMUTABLE if name.startswith("assets/") else ASK_AGAIN}
        media_type = TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        try:
            found = file.stat()
            if found.st_size > MEMORY_BYTES_MAX or not media_type.startswith(TEXT):
                headers["ETag"] = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
                if headers["ETag"] in request.headers.get("if-none-match", ""):
                    return Response(status_code=304, headers=headers)
                return FileResponse(file, headers=headers, media_type=media_type, stat_result=found)
            page = self._pages.get(name)
            if page is None or name == "index.html":
                page = self._pages[name] = await asyncio.to_thread(_read, file)
        except OSError:
            return problem(404, f"there is nothing at {request.url.path}", SECURITY)
        headers |= {"ETag": page.etag, "Vary": "Accept-Encoding"}
        if page.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        content = page.content
        if len(content) >= GZIP_BYTES_MIN and "gzip" in request.headers.get("accept-encoding", ""):
            if page.packed is None:
                page.packed = await asyncio.to_thread(gzip.compress, content, 6, mtime=0)
            content = page.packed
            headers["Content-Encoding"] = "gzip"
        return Response(content, headers=headers, media_type=media_type)


def _files(folder: Path) -> dict[str, Path]:
    """Name as in the address -> file; dot files and links that lead out of the folder are left out."""
    root = folder.resolve()
    inside = (path for path in sorted(root.rglob("*")) if path.is_file() and path.resolve().is_relative_to(root))
    names = ((path.relative_to(root).as_posix(), path) for path in inside)
    shown = ((name, path) for name, path in names if not any(part.startswith(".") for part in name.split("/")))
    return dict(islice(shown, FILES_MAX))


def _read(file: Path) -> Page:
    """Weak, because the same tag stands for the compressed one."""
    content = file.read_bytes()
    return Page(content, f'W/"{blake2b(content, digest_size=12).hexdigest()}"')
