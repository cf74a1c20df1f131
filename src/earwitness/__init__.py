"""earwitness learns to name the sounds in soundtracks from weak labels, and uses what was learnt.

The rooms, from the ground up (imports go down only; the build checks it):

    errors, files, labels, front_end, table_files,
    manifest, selection                              the shared vocabulary
    audio, datasets, models, evaluation, parallel    independent of one another
    store, inference                                 frames on disk; media to scores
    scoring, synth                                   clip scores and the baseline; made corpora
    training                                         the loop and the run folder
    experiments, report                              questions asked of models; pictures and pages
    demo, cli                                        what people run
"""

from importlib.metadata import version

__version__ = version("earwitness")
