"""Export a generator to ONNX, for a browser or any other runtime."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from colorlib.runs import atomic_write


def export_onnx(generator: nn.Module, path: Path, multiple: int = 32) -> None:
    """Export a generator for one photo of any height and width.

    Weights that half precision can hold are stored in it and cast when the model is loaded. Those
    of a generator that was saved in half precision all are: half the bytes, the same numbers.
    That's why batch norm is kept, and not folded into the convolutions, which would need float32.

    Args:
        generator: in eval mode. Its input will be called "L", its output "ab".
        path: of the ONNX file.
        multiple: what height and width must be multiples of.
    """
    from onnxscript import optimizer  # installed only where something is exported

    height, width = (torch.export.Dim(name, min=1, max=128) for name in ("rows", "columns"))
    program = torch.onnx.export(
        generator,
        (torch.rand(1, 1, 2 * multiple, 3 * multiple),),
        dynamo=True,
        optimize=False,
        opset_version=18,
        input_names=["L"],
        output_names=["ab"],
        dynamic_shapes=({2: multiple * height, 3: multiple * width},),
        verbose=False,
    )
    optimizer.fold_constants(program.model)  # `optimize=True` would also fold batch norm
    optimizer.remove_unused_nodes(program.model)
    model = program.model_proto
    store_in_half_precision(model)
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def store_in_half_precision(model) -> None:
    """Store the weights of an ONNX model in half precision wherever that loses nothing."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or not weight.dims:
            continue
        values = numpy_helper.to_array(weight)
        if np.array_equal(values.astype(np.float16), values):
            stored = numpy_helper.from_array(values.astype(np.float16), f"{weight.name}_half")
            casts.append(
                helper.make_node("Cast", [stored.name], [weight.name], to=TensorProto.FLOAT)
            )
            weight.CopyFrom(stored)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
