"""The HTTP service: `create_app(settings)` gives an ASGI application."""

from likeness.http.app import create_app

__all__ = ["create_app"]
