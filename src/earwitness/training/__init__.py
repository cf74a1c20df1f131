"""Training: the loop, and the run folder it leaves behind.

`settings` is what can be chosen; `clips` says which clips are trained on and which are watched; `batches` assembles
batches ahead of the network; `loop` is the training itself, top to bottom; `run_folder` is everything on disk.
"""
