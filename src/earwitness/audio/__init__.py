"""Sound in: media files become waveforms, waveforms become log-mel frames, frames become patches.

`source` opens media safely, `track` is its first audio stream, `seeking` enters it in the middle, `native` gathers
what the decoder gives, with `timeline`, `mixing` and `complaints` for time, channels and FFmpeg's log; `resample`
changes the rate, `decode` joins them into a stream of mono blocks. `logmel` is the front end in NumPy and SciPy,
`frames` joins both into a stream of frames, `patches` cuts them. Nothing here needs torch, nor memory in proportion to
length.
"""
