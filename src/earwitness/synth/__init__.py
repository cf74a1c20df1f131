"""A made corpus: procedural sounds over noise, in real media files, with labels and true times.

`sounds`: one function for each kind of sound; `mixing`: a scene of background and overlapping sounds;
`encode`: a waveform into a media file; `corpus`: the files, the manifest and the true times, from a seed.
"""
