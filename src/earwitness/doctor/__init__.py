"""The data doctor: what is wrong with a corpus, said before anyone trains on it.

findings.py    what an inspection gives: findings by kind, shares, labels, statistics by source, distributions
settings.py    what is asked of clips, each threshold with its reason
inspect.py     the two entries: of a manifest, of a store
"""
