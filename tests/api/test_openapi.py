"""Whatever the description allows or forbids, the service never answers with a server error."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from cartcast.api.app import Service


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_server_error(live: Any) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", Service(live))
    seen: list[int] = []
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=25,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def check(case: Any) -> None:
            seen.append(case.call().status_code)

        check()
    assert len(seen) > 200
    assert max(seen) < 500


def test_the_description_has_every_route_with_examples(live: Any) -> None:
    document = Service(live).openapi()
    events = document["paths"]["/v1/events"]["post"]
    assert set(events["requestBody"]["content"]["application/json"]["examples"]) == {"one", "batch"}
    for path in ("/v1/batch", "/mp/collect", "/com.snowplowanalytics.snowplow/tp2", "/v1/score"):
        operation = document["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["examples"]
        assert "application/problem+json" in operation["responses"]["422"]["content"]
    assert "Problem" in document["components"]["schemas"]
