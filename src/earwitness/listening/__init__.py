"""Thousands of media files through a trained model: inputs to rows, one each, whatever happens.

`inputs` says what is to be heard, `tag_sounds` hears it here, and `tag_cluster` on a Ray cluster; `rows` are what comes
of it, kept by a `journal` that survives being killed, and `outputs` are the forms that people read.
"""
