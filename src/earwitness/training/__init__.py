"""Training: the loop, and the run folder it leaves behind.

`settings` is what can be chosen, `recipes` are named choices; `clips` says which clips are trained on and which are
watched, `origin` what is taken over from a trained model; `setup` is what all of it comes down to on a store and a
machine. `batches` assembles batches ahead of the network, `augment` varies them by `random_draws`; `learner` is the
network as it is trained, `distributed` the other processes, `learning_rate` and `averaging` what they are called,
`validation` the look at the watched clips. `loop` is the training itself, top to bottom; `run_folder` is everything on
disk, `measurements` the figures in it.
"""
