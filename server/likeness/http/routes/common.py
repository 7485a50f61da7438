"""Parameters that several routes take."""

from __future__ import annotations

from typing import Annotated

from litestar.params import Parameter

from likeness.records.pages import MOST

Cursor = Annotated[str | None, Parameter(query="cursor", description="`next` of the page before.", required=False)]
Limit = Annotated[int, Parameter(query="limit", ge=1, le=MOST, description="Items on a page.", required=False)]
PAGE = 20
