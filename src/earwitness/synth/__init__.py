"""A made corpus: procedural sounds over noise, in real media files, with labels and true times.

`settings`: what can be chosen; `kinds`: the table of all kinds of sound; `plan`: who sounds when in each clip, and what
its metadata say; `places`: rooms, noise and devices; `mixing`: a plan into sound; `encode`: sound into a media file;
`truth`: the tables of a corpus; `corpus`: all of it on disk.

`sounds`: one function for each kind. They are built from `signals` (filters, inertia, lines between points), `chance`
(draws and noises), `oscillators` (what sounds by itself), `envelopes` (how loud) and `placing` (when).
"""
