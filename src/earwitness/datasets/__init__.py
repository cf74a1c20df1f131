"""Adapters: what a user or a publisher has becomes a manifest.

`tables`: any table with a column of media paths; `folders`: a folder per label; `esc50`: ESC-50 and ESC-10 as
published; `media`: which files are media, and which listed ones are not there. An adapter only reads
tables and names; no media file is opened.
"""
