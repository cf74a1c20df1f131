"""Our readers and networks against TensorFlow's own: the same random weights, written and run by TensorFlow and by us.

    python benchmarks/tensorflow_files.py write FOLDER [--tiny]   # where tensorflow-cpu and tf_keras are installed
    python benchmarks/tensorflow_files.py compare FOLDER          # where earwitness[bench] is

`write` builds YAMNet in Keras (a version before 3, as the release was saved with) and VGGish of plain operations, as
their releases define them, with random weights; saves .h5, TFLite and checkpoints of both versions; and keeps what
TensorFlow makes of random patches. `compare` imports each file and prints how far our outputs are from those; and what
TFLite's runtime makes of the TFLite file, whose weights are of 32 bits here. The published weights are not needed.
`--tiny` writes checkpoints of a few numbers only: those in tests/test_published_files.py.
"""

# mypy: disable-error-code="import-not-found, import-untyped"
import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

SEPARABLE = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5, (2, 1024), (1, 1024))


def main() -> None:
    """Write or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("write", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    if arguments.what == "compare":
        compare(arguments.folder)
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1"}
    write_tiny(arguments.folder)
    if not arguments.tiny:
        patches = np.random.default_rng(0).normal(-2, 2, size=(4, 96, 64)).astype(np.float32)
        np.save(arguments.folder / "patches.npy", patches)
        write_vggish(arguments.folder, patches)
        write_yamnet(arguments.folder, patches)


def write_tiny(folder: Path) -> None:
    """Two checkpoints of three variables."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        a = v1.get_variable("a/weights", initializer=np.arange(6, dtype=np.float32).reshape(2, 3) / 4)
        b = v1.get_variable("b", initializer=np.array([-1.5], np.float32))
        step = v1.get_variable("global_step", initializer=np.int64(7))
        session.run(v1.global_variables_initializer())
        v1.train.Saver([a, b], write_version=1).save(session, str(folder / "tiny_v1.ckpt"), write_meta_graph=False)
        v1.train.Saver([a, b, step], write_version=2).save(
            session, str(folder / "tiny_v2.ckpt"), write_meta_graph=False
        )


def write_vggish(folder: Path, patches: Any) -> None:
    """Checkpoints of both versions, and the embeddings."""
    import tensorflow as tf

    v1 = tf.compat.v1
    variables: list[Any] = []

    def variable(name: str, shape: tuple[int, ...], scale: float) -> Any:
        initial = v1.random_normal_initializer(stddev=scale, seed=len(variables))
        variables.append(v1.get_variable(f"vggish/{name}", shape, initializer=initial))
        return variables[-1]

    def layer(x: Any, name: str, shape: tuple[int, ...], *, relu: bool = True) -> Any:
        weights = variable(f"{name}/weights", shape, float(2 / np.prod(shape[:-1])) ** 0.5)
        biases = variable(f"{name}/biases", shape[-1:], 0.1)
        y = (tf.nn.conv2d(x, weights, 1, "SAME") if len(shape) == 4 else x @ weights) + biases
        return tf.nn.relu(y) if relu else y

    with tf.Graph().as_default(), v1.Session() as session:
        given = v1.placeholder(tf.float32, (None, 96, 64))
        x, num_in = tf.reshape(given, (-1, 96, 64, 1)), 1
        stages = ((("conv1",), 64), (("conv2",), 128), (("conv3/conv3_1", "conv3/conv3_2"), 256))
        for names, num_out in (*stages, (("conv4/conv4_1", "conv4/conv4_2"), 512)):
            for name in names:
                x, num_in = layer(x, name, (3, 3, num_in, num_out)), num_out
            x = v1.nn.max_pool(x, (1, 2, 2, 1), (1, 2, 2, 1), "SAME")
        x = layer(layer(tf.reshape(x, (-1, 12_288)), "fc1/fc1_1", (12_288, 4_096)), "fc1/fc1_2", (4_096, 4_096))
        x = layer(x, "fc2", (4_096, 128), relu=False)
        session.run(v1.global_variables_initializer())
        np.save(folder / "vggish_embedding.npy", session.run(x, {given: patches}))
        for version in (1, 2):
            saver = v1.train.Saver(variables, write_version=version)
            saver.save(session, str(folder / f"vggish_v{version}.ckpt"), write_meta_graph=False)


def write_yamnet(folder: Path, patches: Any) -> None:
    """A weights file, a whole model, a TFLite file, and embeddings and logits."""
    import tensorflow as tf
    import tf_keras

    layers = tf_keras.layers

    def normalised(x: Any, name: str) -> Any:
        norm = layers.BatchNormalization(name=f"{name}/bn", center=True, scale=False, epsilon=1e-4)
        return layers.ReLU(name=f"{name}/relu")(norm(x))

    given = layers.Input((96, 64))
    x = layers.Reshape((96, 64, 1))(given)
    x = normalised(layers.Conv2D(32, 3, 2, "same", use_bias=False, name="layer1/conv")(x), "layer1/conv")
    for number, (stride, size) in enumerate(SEPARABLE, start=2):
        name = f"layer{number}/depthwise_conv"
        x = normalised(layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name=name)(x), name)
        name = f"layer{number}/pointwise_conv"
        x = normalised(layers.Conv2D(size, 1, 1, "same", use_bias=False, name=name)(x), name)
    embedding = layers.GlobalAveragePooling2D()(x)
    model = tf_keras.Model(given, [embedding, layers.Dense(521)(embedding)])
    rng = np.random.default_rng(1)
    for weight in model.weights:
        numbers = 0.3 * rng.normal(size=weight.shape)
        if "variance" in weight.name:
            numbers = 0.5 + np.abs(numbers)
        elif "kernel" in weight.name:
            inputs = weight.shape[:2] if "depthwise" in weight.name else weight.shape[:-1]
            numbers *= (2 / np.prod(inputs)) ** 0.5 / 0.3
        weight.assign(numbers.astype(np.float32))
    embeddings, logits = model.predict(patches, verbose=0)
    np.save(folder / "yamnet_embedding.npy", embeddings)
    np.save(folder / "yamnet_logits.npy", logits)
    model.save_weights(folder / "yamnet.h5")
    model.save(folder / "yamnet_whole.h5", include_optimizer=False)
    (folder / "yamnet.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def compare(folder: Path) -> None:
    """Print the largest differences."""
    import torch
    from ai_edge_litert.interpreter import Interpreter

    from earwitness.labels import LabelSet, write_label_set
    from earwitness.published.importing import import_model

    patches = np.load(folder / "patches.npy")
    class_map = folder / "labels.csv"
    write_label_set(LabelSet.of([str(number) for number in range(521)]), class_map)
    for name in ("yamnet.h5", "yamnet_whole.h5", "yamnet.tflite", "vggish_v1.ckpt", "vggish_v2.ckpt"):
        is_yamnet = name.startswith("yamnet")
        imported = import_model(
            folder / name,
            published_as="yamnet" if is_yamnet else "vggish",
            class_map=class_map if is_yamnet else None,
        )
        with torch.inference_mode():
            embeddings = imported.model.network.embed(torch.from_numpy(patches)).numpy()
            logits = imported.model.network(torch.from_numpy(patches)).numpy()
        say(
            f"{name}: {imported.num_tensors} tensors, embeddings",
            embeddings,
            np.load(folder / f"{name[:6]}_embedding.npy"),
        )
        if is_yamnet:
            say(f"{name}: logits", logits, np.load(folder / "yamnet_logits.npy"))
    interpreter = Interpreter(str(folder / "yamnet.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    theirs = []
    for patch in patches:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], patch[None])
        interpreter.invoke()
        outputs = [interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()]
        theirs.append(next(output[0] for output in outputs if output.shape[1] == 521))
    say("yamnet.tflite in TFLite's runtime: logits", np.stack(theirs), np.load(folder / "yamnet_logits.npy"))


def say(what: str, ours: Any, theirs: Any) -> None:
    """Print how far two arrays are apart."""
    print(f"{what}: at most {np.abs(ours - theirs).max():.1e} apart, of numbers up to {np.abs(theirs).max():.2f}")


if __name__ == "__main__":
    main()
