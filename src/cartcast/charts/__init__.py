"""Charts: one function draws one computed table, in one visual language, as a Plotly figure.

Every function takes a pandas table (the columns are named below) and keyword arguments, computes
nothing, and returns a `plotly.graph_objects.Figure` without a title: the sentence above a chart is
the page's. All take `theme="light" | "dark"`. `low` and `high` (the ends of an interval) are drawn
wherever the table has them. `unit` is `"share"` (0 to 1, shown as %), `"money"` (with
`currency="EUR"`), `"points"`, `"seconds"`, `"count"` or a word of your own. Import the module you
need (`from cartcast.charts import trend`), so that Plotly is loaded only when something is drawn.

    theme.show(figure, name)          -> keyword arguments for st.plotly_chart (one button)
    theme.number(x, unit, currency)   -> "3.2 %", "€1,240", "12,330"; None -> "–"
    theme.PALETTES["light"|"dark"]    -> Palette(paper, ink, muted, grid, grey, grey_soft, accent,
                                                 accent_soft, block, warn, series)

    trend.trend(t, *, label, unit="count", currency=None, markers=None, across=None, null=None,
                theme="light")
        t: time, value [, low, high, series]; markers: [(time, text)]
    funnel.funnel(t, *, unit="sessions", theme="light")
        t: step (in words), count, share [, low, high]; in order of the steps
    bars.bars(t, *, label, unit="share", currency=None, overall=None, subject=None, theme="light")
        t: name, value [, low, high, n]; horizontal, from zero; `overall` is a reference line
    slices.slices(t, *, label, unit="share", overall=None, named=None, theme="light")
        t: slice_by, slice, value, low, high, n; dots with intervals, grouped by slice_by
    distribution.distribution(t, *, label, unit="count", log=False, theme="light")
        t: left, right, count [, series]; bars of a histogram
    reliability.reliability(t, *, of="buyers", theme="light")
        t: predicted, observed, low, high, n [, model]; cartcast.evaluate.curves.reliability
    by_click.by_click(t, *, label, unit="points", subject=None, theme="light")
        t: click, value [, low, high, model]; subject is the accented model
    scores.scores(t, *, label, subject=None, better="higher", theme="light")
        t: model, value, low, high; a dot with its interval for each model
    lift.gain(t, *, of="buyers", subject=None, theme="light")
        t: contacted, reached [, reached_low, reached_high, model]; cartcast.evaluate.curves.gain
    lift.lift(t, *, subject=None, theme="light")       t: contacted, lift [, lift_low, lift_high]
    lift.profit(t, *, currency=None, theme="light")    t: contacted, profit [, low, high]
    roc.roc(t, *, subject=None, theme="light")         t: fpr, tpr [, model]
    roc.precision_recall(t, *, prevalence, subject=None, theme="light")
        t: recall, precision [, model]
    importance.importance(t, *, label, unit="points", top=15, theme="light")
        t: feature, mean_drop [, low, high, direction]
    importance.contributions(t, *, unit="points", theme="light")
        t: feature, text, contribution; why one session got its score
    effects.effect(t, *, label, unit="", currency=None, theme="light")
        t: value, prediction [, low, high, share]; one feature's effect, number or category
    revenue.deciles(t, *, currency=None, theme="light")
        t: decile, predicted, observed, low, high, n
    revenue.coverage(t, *, theme="light")              t: part, nominal, coverage, low, high, n
    segments.sizes(t, *, theme="light")                t: name, share, conversion [, low, high]
    segments.scatter(t, *, theme="light")              t: x, y, segment; the map, at most 5,000 rows
    paths.sankey(t, *, unit="sessions", theme="light") t: source, target, count, step
    cohorts.heatmap(t, *, label, unit="share", theme="light")
        t: cohort, age, value, n; rows are cohorts, columns their age
    heatmap.hour_weekday(t, *, label, unit="share", theme="light")
        t: weekday (0 = Monday), hour (0 to 23), value [, n]
    heatmap.correlation(t, *, theme="light")           t: square, index and columns are features
    learning.learning(t, *, label, theme="light")      t: rows, value [, low, high, model]
"""
