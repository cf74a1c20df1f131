"""Weights that others published: fetching the files, reading them without the software that wrote them, and making
models of ours from them. Nothing in such a file is ever executed or unpickled.

`download` fetches; `tflite`, `keras_file`, `tensorflow_checkpoint` and `torch_file` give a file's tensors by name;
`yamnet` and `vggish` say which of them belongs where; `importing` joins these.
"""
