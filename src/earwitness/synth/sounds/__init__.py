"""The kinds of sound, one function each, in one file for each family.

A kind is `(source, rng, seconds) -> waveform`: numbers drawn from `source` are the character of one dog, engine or bell
and the same for all its events; those from `rng` change from event to event. `animals`, `nature`, `voices`,
`hands_and_feet`, `music`, `percussion`, `vehicles`, `machines` and `alarms` hold kinds; `throat` is how voices speak,
`score` what instruments and singers play.
"""
