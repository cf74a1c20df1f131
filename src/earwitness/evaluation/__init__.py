"""Evaluation: how well scores match labels, in plain NumPy. Knows nothing of networks, stores or files.

`metrics` defines the measures, `summary` gathers them into an `Evaluation` with chance beside it, `timelines` asks
how well scores say when. Scores are read in blocks from a `score_source`, labels are kept sparse (`positives`).
"""
