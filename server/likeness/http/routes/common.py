"""Parameters that several routes take."""

from __future__ import annotations

from typing import Annotated

from litestar.params import QueryParameter

from likeness.records.pages import MOST

Cursor = Annotated[str | None, QueryParameter(name="cursor", description="`next` of the page before.", required=False)]
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=MOST, description="Items on a page.", required=False)]
PAGE = 20
