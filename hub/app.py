"""The hub's HTTP face as one ASGI application: `build(parts)`."""

from fastapi import FastAPI

from hub.api_parts import Parts

__all__ = ["Parts", "build"]


def build(parts: Parts) -> FastAPI:
    """The application; every part is used as it is given and closed by whoever made it."""
    app = FastAPI(title="Gridward hub")
    app.state.parts = parts
    return app
