"""One module per group of rows: `ORDER` (its place in the table) and `rows(world) -> Sequence[Row]`.

`rows` is called for every run and must be cheap: what a row needs is made when its first variant runs.
"""
