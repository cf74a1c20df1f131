"""The paper's experiments as commands: each is a plan, a folder, and a table beside the paper's own.

`printed` has the figures of the paper. `architectures`, `label_set_size` and `training_set_size` each make a plan (see
`plan`: the trainings and evaluations, as plain data, sized by `presets`) and, from what lies in the folder afterwards,
a table (see `table`). `study` is that folder, `running` the work in it, `measuring` the evaluation of one model,
`made_corpus` what is learnt from where no store is given; `experiment` puts all of it together.
"""
