"""The funnel builder: what is chosen, what the address holds, and what the file says."""

from __future__ import annotations

import pytest

from .conftest import sound
from .test_figures import Shop, page  # noqa: F401

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def followed(shop: Shop, *steps) -> list[int]:
    """Return how many sessions reach each step, event by event."""
    reached = [0] * len(steps)
    for _, own in shop.events.sort_values("event_time", kind="stable").groupby("session_id"):
        rest = iter(own.to_dict("records"))
        for k, step in enumerate(steps):
            if not any(step(e) for e in rest):
                break
            reached[k] += 1
    return reached


def address(at) -> str:
    held = at.query_params["funnel"]
    return held if isinstance(held, str) else held[0]


def test_steps_are_built_moved_and_removed(page, folder):  # noqa: F811
    shop = Shop(folder / "shop.csv")
    at = sound(page("analysis", funnel="view_item[category=c1,c2], add_to_cart|purchase"))

    def told():
        return [int(n) for n in at.dataframe[0].value["sessions"]]

    def viewed(e):
        return e["event_type"] == "view_item" and e["category"] in ("c1", "c2")

    def later(e):
        return e["event_type"] in ("add_to_cart", "purchase")

    assert told() == followed(shop, viewed, later)
    at.multiselect(key="step_0_1_any").set_value(["purchase"])
    at = sound(at.run())
    assert address(at) == "view_item[category=c1,c2], purchase"
    at.selectbox(key="step_0_1_column").set_value("brand")
    at = sound(at.run())
    at.multiselect(key="step_0_1_values_brand").set_value(["=cmd()"])
    at = sound(at.run())
    assert told() == followed(
        shop, viewed, lambda e: e["event_type"] == "purchase" and e["brand"] == "=cmd()"
    )
    at = sound(at.button(key="step_Later_0").click().run())
    assert address(at) == "purchase[brand==cmd()], view_item[category=c1,c2]"
    at = sound(at.button(key="step_Remove_1").click().run())
    at = sound(at.button(key="step_add").click().run())
    assert address(at) == "purchase[brand==cmd()], view_item"
    line = next(t for t in at.text_input if t.label == "In one line")
    at = sound(line.set_value("view_item, add_to_cart[price>=13]").run())
    assert told() == followed(
        shop,
        lambda e: e["event_type"] == "view_item",
        lambda e: e["event_type"] == "add_to_cart" and e["price"] >= 13,
    )
    line = next(t for t in at.text_input if t.label == "In one line")
    at = line.set_value("view_item[").run()
    assert not at.exception
    assert "The steps in the address cannot be read" in at.error[0].value.replace("\\", "")


def test_where_they_go_and_every_step_of_a_split(page, folder):  # noqa: F811
    shop = Shop(folder / "shop.csv")
    at = sound(page("analysis", funnel="view_item, purchase", by="device"))
    rows = at.dataframe[0].value.set_index(["device", "step"])["sessions"]
    for device, own in shop.sessions.groupby("device"):
        assert rows[device, "purchase"] == own["bought"].sum()
    (box,) = (s for s in at.selectbox if s.key == "lost_after")
    lost = len(shop.sessions) - shop.sessions["bought"].sum()
    assert box.options == ["1. product page, but not then purchase"]
    assert any(c.value.startswith(f"{lost} sessions") for c in at.caption)
