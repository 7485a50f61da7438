"""ASGI middleware, in the order in which a request meets it: base path, observe, CORS, HEAD; then, in the router,
authentication, plain bodies, retention, idempotency, quota.
"""
