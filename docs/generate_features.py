"""Write docs/features.md from the declarations: `python docs/generate_features.py [--check]`."""

from __future__ import annotations

import sys
from pathlib import Path

from cartcast import features
from cartcast.features.catalogue import markdown

PAGE = Path(__file__).parent / "features.md"

TEXT = """# Features

<!-- Written by docs/generate_features.py; edit the declarations, not this page. -->

A feature is declared once and runs in four ways: after every click (training rows), at the end of
each session, on Spark, and live. All four are the same compiled fold, and a test holds them equal.

```python
from cartcast.features import Count, Eq, FeatureSet, Mean, NUnique

browsing = FeatureSet(
    clicks=Count(),
    price_mean=Mean("price"),
    carts=Count(where=Eq("event_type", "add_to_cart")),
)
browsing.replay(log, at="every click")     # an Arrow table, as known at each click
browsing.replay(log, at="end", out="sessions.parquet")
browsing.replay(visits, at="end", session_gap=1800)   # visitors' events: sessions made on the way
state = browsing.start()
state = browsing.step(state, event)        # live
browsing.value(state)
```

The same set as `mine.yaml`, for `cartcast features shop.csv --set mine.yaml --out table.parquet`:

```yaml
features:
  clicks: count
  price_mean: {mean: price}
  carts: {count: {where: {event_type: add_to_cart}}}
```

`cartcast features --set usual --yaml` prints a set to copy and edit; `--list` shows what each
feature means.

## The words

| kind | declarations |
|---|---|
| reductions | `Count, Sum, Min, Max, Std, First, Last, NUnique, Mode` |
| of time | `SecondsInSession, SecondsSince, SecondsSinceFirst, CountWithin` |
| fading | `DecayedCount, DecayedSum` |
| of the calendar | `Hour, DayOfWeek, Month` |
| of the visitor's past | `EarlierSessions, EarlierEvents, EarlierPurchases` |
| | `EarlierWords, DaysSinceLastSession` |
| arithmetic | `Ratio, Difference, Total, Product`; `Mean, Share, Revisits` are made of these |
| numbers of one event | `Gap, Times, Negated, AboveAverage` |
| conditions for `where=` | `Eq, In, Above, Below, NotNull, SameAsPrevious, Previous, And, Or, Not` |

Undefined is null, never 0: a sum without values, the deviation of one value, seconds where the
source has no clock. A condition on a null is false, and its `Not` is true.

## `usual`

What notebooks on the e-shop log compute, one row per session, with nulls where undefined.

{usual}
## `auto`

`cartcast train` takes these unless `--set` names others: features proposed from the log itself, from
its words, its own columns and how fast its visitors click, whatever they are called. A log with views
and carts that has no word and no column of its own takes those of `shop` as they are: screening cost
13 CPU seconds and brought nothing there (`cartcast simulate --sessions 12000 --out log.parquet`).
Otherwise only sessions of the training period are looked at. A proposal stays if boosters fitted
before several moments use it; and all of them stay only if they make the log loss of later rows
smaller, by more than chance, than what `shop` makes of the columns that the log fills. `run.json`
keeps why each feature is there and why a column is not read (`features.proposed`), and the set itself
as YAML that can be edited and given to `--set`. Among the proposals is how often each word stood in the
visitor's earlier sessions, whatever column it is from. Successions of two words (`Previous`) can be
declared, and are not proposed; nor is the popularity of items
([why](decisions/0052-what-is-not-proposed.md)).

## `shop`

What a conversion model may know at a click. No purchase of the session itself is counted.

{shop}"""


def page() -> str:
    """Return the page."""
    parts = {name: markdown(chosen) for name, chosen in features.SETS.items()}
    return TEXT.replace("{usual}", parts["usual"]).replace("{shop}", parts["shop"])


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page() else 1)
    PAGE.write_text(page(), encoding="utf-8")
