"""What is asked of models and corpora: `evaluating` puts a model beside its baseline and chance on chosen clips,
`crossvalidate` trains and evaluates fold by fold, `grid` searches over settings (`grid_axes` says over which,
`grid_study` shares the work among processes, `grid_table` has the result).
"""
