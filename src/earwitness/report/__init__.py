"""Report: what people read and look at. Files are written from finished numbers; nothing is scored here.

`evaluation_report` writes an evaluation's JSON, table, summary and pictures; `evaluation_plots` draws the
pictures; `timeline_plot` draws what is heard when under a spectrogram, `timeline_recorder` gathers that while
a file streams by, and `pooled_columns` keeps it small; `curves` draws a training's course; `figure` holds the
look that all pictures share. `html` writes pages that need nothing but a browser, from `templates/`;
`demo_page` is the one that the demo ends with, and `doctor_page` that of an inspection, with `snippets` of
sound and `svg_plots`; `doctor_files`, `doctor_summary` and `doctor_words` are what else people get of one.
`timeline_table` shows the measures of timelines; `words` says numbers and names as people read them.
"""
