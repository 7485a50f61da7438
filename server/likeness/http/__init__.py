"""The HTTP service: `create_app(settings)` gives an ASGI application."""

from likeness.http.app import Application, create_app

__all__ = ["Application", "create_app"]
