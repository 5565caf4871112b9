"""`cartcast experiment`: design, assign, analyze and decide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cartcast.cli.shell import print_json, show_findings

if TYPE_CHECKING:
    from cartcast.experiments.journal import Journal
    from cartcast.experiments.plan import Plan
    from cartcast.experiments.results import Comparison

_PLAN = typer.Argument(help="YAML plan of the experiment.")
_SOURCE = typer.Argument(help="Clean log, or a table of units when the plan has no quantities.")
_EXPOSURES = typer.Option(
    help="Folder of the live service, or file with unit, arm, exposed; repeat. Without it, the "
    "log's own events say who saw what, else the hash."
)
_NAME = typer.Option("--name", help="Name of the experiment, if the plan has several.")
_JSON = typer.Option("--json", help="Print one JSON document.")
_JOURNAL = typer.Option(help="File of looks and decisions; default .cartcast/experiments/.")


def add(app: typer.Typer) -> None:
    """Register the verb and its words."""
    experiment = typer.Typer(help="Experiments: what works, and for whom.", no_args_is_help=True)
    app.add_typer(experiment, name="experiment")
    for command in (design, assign, analyze, decide, whom):
        experiment.command(command.__name__)(command)


def design(
    plan: Annotated[Path, _PLAN],
    past: Annotated[str, typer.Argument(help="History: a clean log, or a table of units.")],
    metric: Annotated[str, typer.Option(help="Metric that decides.")],
    weeks: Annotated[
        float | None, typer.Option(help="Weeks that the history covers; a log says it itself.")
    ] = None,
    relative: Annotated[
        float | None, typer.Option(help="Smallest relative effect that matters, such as 0.02.")
    ] = None,
    worth: Annotated[
        float | None, typer.Option(help="Or: smallest amount of money a month that matters.")
    ] = None,
    name: Annotated[str | None, _NAME] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Say how long a test must run, what it will see, and whether it is worth it."""
    from cartcast import experiments
    from cartcast.errors import UsageError

    if (relative is None) == (worth is None):
        raise UsageError(
            f"say which effect on {metric} matters: --relative 0.02 for 2 %, or --worth 5000 for "
            "an amount of money a month; give one of them."
        )
    declared = _plan(plan, name)
    if declared.quantities:
        measured = experiments.past_of(past, declared)
        rows, weeks = measured.units, weeks or measured.weeks
    else:
        rows = experiments.table_of(past)
    if weeks is None:
        raise UsageError("a table of units does not say how many --weeks it covers.")
    d = experiments.design(rows, declared, metric, weeks=weeks, relative=relative, worth=worth)
    if json:
        print_json(d.as_dict())
        return
    typer.echo(f"{d.metric}: {d.baseline:.5g} today; {d.effect:.4g} ({d.relative:+.2%}) matters")
    typer.echo(f"  {d.needed:,} units of two arms, {d.weeks} weeks, power {d.power:.0%}")
    typer.echo(f"  smallest effect found with 80 %: {d.detectable / d.baseline:.2%}")
    typer.echo(
        f"  looks as planned: {d.looks_weeks} weeks at most; always valid: "
        f"{d.always_valid_weeks} weeks"
    )
    if d.false_alarms is not None:
        typer.echo(
            f"  drawn from the past {d.drawn} times: false alarms {d.false_alarms:.1%}, power "
            f"{d.drawn_power:.0%} (formula {d.formula_power:.0%})"
        )
    show_findings(d.findings)


def assign(
    plan: Annotated[Path, _PLAN],
    units: Annotated[
        Path | None, typer.Argument(help="CSV or Parquet file with a column of ids.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="A single id, instead of a file.")] = None,
    column: Annotated[
        str | None, typer.Option(help="Column of the ids; default: the plan's.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write: unit, arm.")] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the DuckDB expression.")] = False,
    name: Annotated[str | None, _NAME] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Say which arm units belong to: one id, a file of ids, or as SQL."""
    from cartcast import experiments
    from cartcast.errors import UsageError

    declared = _plan(plan, name)
    column = column or declared.unit
    if sql:
        from cartcast.events.sql import identifier

        typer.echo(declared.allocation.assign_sql(identifier(column)))
    elif unit is not None:
        from cartcast.events.ids import text_reader

        meant = text_reader("visitor_id")(unit)
        if meant is None:
            raise UsageError(f"--unit must be an id of somebody, got {unit!r}.")
        got = declared.allocation.assign(meant)
        print_json(vars(got)) if json else typer.echo(
            f"{got.unit}: {got.arm or 'none'} ({got.reason})"
        )
    elif units is not None and out is not None:
        counts = experiments.assign_file(declared.allocation, units, column, out)
        if json:
            print_json(counts)
        else:
            for arm, n in counts.items():
                typer.echo(f"  {arm:<20} {n:>12,}")
    else:
        raise UsageError("give --unit ID, --sql, or a file of ids with --out.")


def analyze(
    source: Annotated[str, _SOURCE],
    plan: Annotated[
        Path | None, typer.Option(help="YAML plan; without one, cumulative statistics.")
    ] = None,
    exposures: Annotated[list[Path] | None, _EXPOSURES] = None,
    journal: Annotated[Path | None, _JOURNAL] = None,
    name: Annotated[str | None, _NAME] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Compare the arms: a log or table of units by a plan, or a table of cumulative statistics."""
    from cartcast import experiments
    from cartcast.experiments import words

    if plan is None:
        _pairs(experiments.analyze_statistics(source), json)
        return
    declared = _plan(plan, name)
    kept = _journal(journal, declared)
    found = experiments.look(source, declared, exposures=exposures, journal=kept)
    if json:
        print_json(found.as_dict())
        return
    counts = ", ".join(f"{a} {n:,}" for a, n in found.sample_ratio.units.items())
    typer.echo(f"{found.experiment}: {counts}")
    for c in found.comparisons:
        typer.echo(_line(c))
    typer.echo(f"  looked {words.times(kept.looked)}")
    for made in kept.decisions():
        typer.echo(f"  {words.became(made, experiments.since(made, found), found.control)}")
    show_findings(found.findings)


def whom(
    source: Annotated[str, _SOURCE],
    plan: Annotated[Path, typer.Option(help="YAML plan of the experiment.")],
    metric: Annotated[str, typer.Option(help="Mean or proportion that counts.")],
    arm: Annotated[str | None, typer.Option(help="Treatment; needed if there are several.")] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(help="Column known before the exposure; repeat. Default: quantities before."),
    ] = None,
    cost: Annotated[float, typer.Option(help="Cost of treating one unit.")] = 0.0,
    score: Annotated[
        str | None, typer.Option(help="Column of a probability: are the likeliest as good?")
    ] = None,
    exposures: Annotated[list[Path] | None, _EXPOSURES] = None,
    out: Annotated[Path | None, typer.Option(help="CSV of units with their uplift.")] = None,
    name: Annotated[str | None, _NAME] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Say whom a treatment changes, and what choosing them is worth."""
    from cartcast.experiments.run import table_of, units_of
    from cartcast.experiments.whom import whom as learn

    declared = _plan(plan, name)
    units, findings = units_of(source, declared, exposures)
    ids = ("arm", declared.unit)
    table = table_of(units, ids) if isinstance(units, str | Path) else units
    found = learn(table, declared, metric, arm=arm, features=features or (), cost=cost, score=score)
    if out is not None:
        from cartcast.spreadsheet import write_csv

        write_csv(found.uplift, out)
    if json:
        print_json(found.as_dict())
        return
    typer.echo(f"{found.arm} against {found.control}: {found.units:,} units, {metric} a unit")
    for way, value in found.policies.values.items():
        treated = found.policies.treated[way]
        ends = f"({value.low:.4g} to {value.high:.4g})"
        typer.echo(f"  {way}: {value.value:.4g} {ends}, {treated:.0%} treated")
    q = found.ranking
    knows = "it knows something" if q.low > 0 else "it cannot be told from chance"
    typer.echo(f"  order by uplift: {q.value:+.4g} ({q.low:+.4g} to {q.high:+.4g}); {knows}")
    gains = found.policies.gains
    best = max(gains, key=lambda way: gains[way].value)
    more = f"{best} is worth {gains[best].value:+.4g} a unit more than treating everybody"
    typer.echo(
        f"  {more if gains[best].low > 0 else 'nothing is shown to beat treating everybody'}"
    )
    for line in found.rule.lines() if found.rule else ():
        typer.echo(f"  rule: {line}")
    show_findings([*findings, *found.policies.findings])


def decide(
    source: Annotated[str, _SOURCE],
    plan: Annotated[Path, typer.Option(help="YAML plan of the experiment.")],
    metric: Annotated[str, typer.Option(help="Goal that decides.")],
    arm: Annotated[str | None, typer.Option(help="Arm; default: the best.")] = None,
    units_a_month: Annotated[
        float | None,
        typer.Option(help="Units a month, for a metric of money per unit; a log says it itself."),
    ] = None,
    exposures: Annotated[list[Path] | None, _EXPOSURES] = None,
    out: Annotated[Path | None, typer.Option(help="Page to write: .html or .md.")] = None,
    journal: Annotated[Path | None, _JOURNAL] = None,
    name: Annotated[str | None, _NAME] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Say what to do and why; the decision is kept with the looks before it."""
    from cartcast import experiments
    from cartcast.atomic import write_text
    from cartcast.errors import UsageError
    from cartcast.experiments.page import page
    from cartcast.report import document

    if out is not None and out.suffix not in (".html", ".md"):
        raise UsageError(f"--out must end in .html or .md, got {str(out)!r}.")
    declared = _plan(plan, name)
    kept = _journal(journal, declared)
    before, data = kept.decisions(), None
    if declared.quantities:
        data = experiments.measured_of(source, declared, exposures)
        if units_a_month is None and metric in declared.money:
            units_a_month = data.units_a_month
        exposures = None
    found = experiments.look(data or source, declared, exposures=exposures, journal=kept)
    decision = experiments.decide(
        found, declared, metric, arm, units_a_month=units_a_month, looks=kept.looked
    )
    kept.add("decision", decision.as_dict())
    told = page(decision, found, declared, currency=_currency(), record=before)
    if out is not None:
        write_text(out, document.html(told) if out.suffix == ".html" else document.markdown(told))
    if json:
        print_json({**decision.as_dict(), "findings": [f.as_dict() for f in found.findings]})
    else:
        typer.echo(document.plain_text(told), nl=False)


def _plan(path: Path, name: str | None) -> Plan:
    from cartcast.experiments import read_plan

    return read_plan(path, name)


def _journal(path: Path | None, plan: Plan) -> Journal:
    from cartcast.config import find_project
    from cartcast.experiments import Journal

    return Journal(path) if path else Journal.of(find_project() or Path.cwd(), plan)


def _currency() -> str | None:
    from cartcast.config import find_project, read_settings

    project = find_project()
    return read_settings(project).currency if project else None


def _pairs(pairs: Any, json: bool) -> None:
    if json:
        print_json([p.as_dict() for p in pairs])
        return
    for p in pairs:
        for m in p.metrics:
            e = m.difference.absolute
            told = "no interval" if e is None else f"{e.value:+.4g} ({e.low:+.4g} to {e.high:+.4g})"
            typer.echo(f"{p.experiment}/{p.variant} metric {m.metric}: {told}")
        show_findings(p.findings)
    off = sum(p.sample_ratio.wrong for p in pairs)
    typer.echo(f"{len(pairs)} pairs, {off} of them with a wrong sample ratio")


def _line(c: Comparison) -> str:
    where = f" [{c.segment[0]} = {c.segment[1]}]" if c.segment else ""
    e, r = c.difference.absolute, c.difference.relative
    if e is None:
        return f"  {c.metric}, {c.arm}{where}: no interval"
    relative = "" if r is None else f", {r.value:+.2%} ({r.low:+.2%} to {r.high:+.2%})"
    p = "" if c.adjusted is None else f", p {c.adjusted:.3g} corrected"
    always = c.always_valid
    valid = "" if always is None else f"; at any look {always.low:+.4g} to {always.high:+.4g}"
    return f"  {c.metric}, {c.arm}{where}: {e.value:+.4g}{relative}{p}{valid}"
