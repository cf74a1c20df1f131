"""Store and model to clip scores and embeddings, and the baseline beside them.

`clip_scores` averages a network's probabilities over the patches of each clip; `embedding` writes down what a network
makes of every patch; `baseline` is logistic regression on each clip's mean and standard deviation of log-mel.
"""
