"""Origins, base paths and networks: which texts may go into headers and links as they are."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Final
from urllib.parse import urlsplit

LONGEST: Final = 200
_PORTS: Final = {"http": 80, "https": 443}


def is_origin(text: str) -> bool:
    """Whether a browser would send this very text: lower case, no path, no port that goes without saying."""
    try:
        parts = urlsplit(text)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = "" if parts.port in (None, _PORTS.get(parts.scheme)) else f":{parts.port}"
    except ValueError:
        return False
    plain = re.fullmatch(r"[a-z0-9.:/\[\]_-]+", text)
    return bool(parts.scheme in _PORTS and host and plain and text == f"{parts.scheme}://{host}{port}")


def is_base_path(text: str) -> bool:
    """Whether a text is a path that may go before all of ours in links: whole names of plain letters, no dots alone."""
    return len(text) <= LONGEST and bool(re.fullmatch(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+", text))


def is_network(text: str) -> bool:
    """Whether a text is an IP address or network."""
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
