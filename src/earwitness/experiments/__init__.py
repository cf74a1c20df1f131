"""What is asked of models and corpora: `evaluating` puts a model beside its baseline and chance on chosen clips,
`crossvalidate` trains and evaluates fold by fold.
"""
