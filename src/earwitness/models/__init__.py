"""Networks and the model file.

`registry` knows the networks by name without importing torch; each network has a file of its own, which opens with
its paper and its table of layers; `precision` decides device and arithmetic; `model_file` reads and writes the one
self-describing safetensors file.
"""
