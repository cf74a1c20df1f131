"""What a trained model gives people: the object that `earwitness.load` makes, thousands of files tagged, timelines.

**In Python.** `listener` is that object, `sounds` what one may give it, `shared_batches` takes many of these through
the network together, `results` is what comes out.

**Timelines.** `timeline` turns patch scores at any hop into events by `timeline_settings`; `event_files` writes these
as JSON, CSV and labels for Audacity, `captions` as WebVTT and SRT, `patch_score_files` what they were found in.

**Thousands of media files**, inputs to rows, one each, whatever happens. `inputs` says what is to be heard,
`tag_sounds` hears it here, and `tag_cluster` on a Ray cluster; `rows` are what comes of it, kept by a `journal` that
survives being killed, and `outputs` are the forms that people read.
"""
