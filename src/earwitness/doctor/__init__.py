"""The data doctor: what is wrong with a corpus, said before anyone trains on it.

findings.py          what an inspection gives: findings by kind, shares, labels, statistics by source, distributions
settings.py          what is asked of clips, each threshold with its reason
inspect.py           the two entries: of a manifest, of a store
inspection.py        collects what was measured of clips, and puts the report together
clips.py             one clip under examination, from media or from a store; runs in worker processes
frames.py            what is measured of log-mel frames
sound.py             what is measured of channels at their own rate
clipping.py          peaks that are cut off
band_edge.py         sound that ends at a sharp upper edge
fingerprints.py      what sound keeps through codecs, gain and shifts, in few bytes
copies.py            equal sounds by their fingerprints, in nearly linear time
judging.py           from measures to sentences
sides.py             the sides of a split, and what is on more than one
label_statistics.py  counts, priors and holes
tallies.py           statistics by source, distributions, intervals
cleaning.py          which clips to leave out
"""
