"""Whatever the description allows or forbids, the service never answers with a server error."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error

from cartcast.api.app import Service


@pytest.fixture
def api_schema(live: Any) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", Service(live))


schema = schemathesis.pytest.from_fixture("api_schema")


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_server_error(case: Any) -> None:
    case.call_and_validate(checks=[not_a_server_error])


def test_the_description_has_every_route_with_examples(live: Any) -> None:
    document = Service(live).openapi()
    events = document["paths"]["/v1/events"]["post"]
    assert set(events["requestBody"]["content"]["application/json"]["examples"]) == {"one", "batch"}
    for path in ("/v1/batch", "/mp/collect", "/com.snowplowanalytics.snowplow/tp2", "/v1/score"):
        operation = document["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["examples"]
        assert "application/problem+json" in operation["responses"]["422"]["content"]
    assert "Problem" in document["components"]["schemas"]
