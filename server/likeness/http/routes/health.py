"""Health and metrics, for whoever runs the server."""

from __future__ import annotations

from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec

from likeness.errors import LikenessError
from likeness.http.metrics import Metrics
from likeness.http.service import Service
from likeness.http.views import Health
from likeness.packs import faces_compared
from likeness.records import workers

# Litestar adds the charset.
METRICS = "text/plain; version=0.0.4"


@get("/health/live", operation_id="isLive", tags=["operations"], opt={"public": True}, security=[{}])
async def is_live() -> dict[str, bool]:
    """Whether the process answers."""
    return {"live": True}


@get(
    "/health/ready",
    operation_id="isReady",
    tags=["operations"],
    opt={"public": True},
    security=[{}],
    responses={503: ResponseSpec(data_container=Health, generate_examples=False, description="Not ready.")},
)
async def is_ready(service: Service) -> Response[Health]:
    """Whether an upload would be accepted and drawn: database and store answer, a worker lives, avatars are signed."""
    problems = await service.run(_problems, service)
    found = dict.fromkeys([*service.catalogue.problems, *service.decoders.problems])
    style_problems = [f"{each.pack}: {each.sentence}" for each in found]
    health = Health(not problems, problems, style_problems, faces_compared(service.catalogue))
    return Response(health, status_code=200 if health.ready else 503)


@get(
    "/metrics",
    operation_id="getMetrics",
    tags=["operations"],
    opt={"public": True},
    security=[{}],
    media_type=METRICS,
)
async def get_metrics(service: Service, metrics: Metrics) -> Response[bytes]:
    """Prometheus metrics; nothing in them is about a user."""
    return Response(await service.run(metrics.text), media_type=METRICS)


def _problems(service: Service) -> list[str]:
    found = []
    try:
        if not service.safe.database.read(workers.stats_of_living, service.settings.lease_s):
            found.append("No worker is alive. See its log.")
    except Exception:  # whatever the database's driver raises
        found.append("The database does not answer.")
    try:
        service.safe.objects.check()
    except LikenessError as error:
        found.append(str(error))
    if problem := service.marker.problem():
        found.append(problem)
    return found


ROUTES = (is_live, is_ready, get_metrics)
