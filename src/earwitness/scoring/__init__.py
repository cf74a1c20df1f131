"""Store and model to clip scores, and the baseline beside them.

`clip_scores` averages a network's probabilities over the patches of each clip; `baseline` is logistic regression on
each clip's mean and standard deviation of log-mel.
"""
