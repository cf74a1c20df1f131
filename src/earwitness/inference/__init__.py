"""From a trained model and sound to scores: needs no store and no training.

`probabilities` runs a network over patches, for scores or embeddings; `tagger` takes media files to clip scores, patch
scores and events; `events` turns patch scores into what is heard when.
"""
