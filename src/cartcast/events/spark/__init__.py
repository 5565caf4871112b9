"""Reading on Spark: the steps of one machine, on files and then on the rows of some visitors.

Each task opens an engine of its own. Spark keeps and moves what the tasks hand over: pieces, which
are Parquet in a cell, so that no row is ever converted on its way.
"""
