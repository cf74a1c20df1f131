"""What a trained model gives people: the object that `earwitness.load` makes, and what it hears written down.

`listener` is that object, `shared_batches` takes many inputs through the network together, `results` is what comes out
of it; `timeline` turns patch scores at any hop into events by `timeline_settings`; `event_files` writes these as JSON,
CSV and labels for Audacity, `captions` as WebVTT and SRT, `patch_score_files` what they were found in.
"""
