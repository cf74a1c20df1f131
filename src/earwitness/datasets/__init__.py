"""Adapters: what a user or a publisher has becomes a manifest.

`tables`: any table with a column of media paths; `folders`: a folder per label; `audioset` (and `audioset_media`),
`fsd50k`, `urbansound8k`, `esc50`: corpora as published; `webdataset` (and `shards`): tars, whose sound stays in them;
`huggingface`: audio folders. `media`: which files are media, and which listed ones are not there; `recognise`: what
a file looks like that was given to the wrong one; `adapted`: what an adapter gives back. An adapter reads tables and
names only; no media file is opened.
"""
