"""Sound in: media files become waveforms, waveforms become log-mel frames, frames become patches.

`source` opens media safely, `timeline` and `resample` keep time and rate right, `decode` joins them into a stream of
mono blocks; `logmel` is the front end in NumPy and SciPy, `frames` joins both into a stream of frames, `patches`
cuts them. Nothing here needs torch, and nothing here grows with the length of a file.
"""
