"""A trained model as one ONNX file, from waveform to scores, for other programs and for our own `tag` and `embed`.

`exporting` goes through all steps; `waveform_patches` is the front end in torch; `graph` makes and joins the parts;
`check` holds the file against the original; `eight_bit` makes the network's numbers small and measures what that costs.
What the file is, and how it is read, says `models.onnx_file`.
"""
