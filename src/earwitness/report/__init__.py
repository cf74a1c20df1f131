"""Report: what people read and look at. Files are written from finished numbers; nothing is scored here.

An evaluation: `evaluation_report` writes its files, from `evaluation_facts`; `evaluation_page` is its page, with
`evaluation_listening` (clips), `label_columns`, `label_data` and `label_ends` (its labels), `scatter`,
`confusion_plot` and `reliability_plot`; `evaluation_summary` has its words for terminal and Markdown,
`evaluation_tables` its tables, `model_card` the card, `evaluation_plots` pictures for papers. A comparison:
`comparison_report`, `comparison_page`, `comparison_tables`, from `comparison_facts`.

`timeline_plot` draws what is heard when under a spectrogram, `timeline_recorder` gathers that while a file streams by,
and `pooled_columns` keeps it small; `timeline_table` shows the measures of timelines; `curves` draws a training's
course; `experiment_plots` and `experiment_curves` lay those of an experiment beside one another; `figure` holds the
look that all pictures share. `html` writes pages that need nothing but a browser, from
`templates/`; `demo_page` is the one that the demo ends with, and `doctor_page` that of an inspection, with `snippets`
of sound and `svg_plots`; `doctor_files`, `doctor_summary` and `doctor_words` are what else people get of one. `words`
says numbers and names as people read them.
"""
