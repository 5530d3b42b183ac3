"""Export a generator to ONNX, for a browser or any other runtime."""

from pathlib import Path

import torch
from torch import nn

from colorlib.runs import atomic_write


def export_onnx(generator: nn.Module, path: Path, multiple: int = 32, is_half: bool = False):
    """Export a generator with dynamic batch, height and width.

    Args:
        generator: in eval mode.
        path: of the ONNX file; its input is "L", its output "ab".
        multiple: what height and width are multiples of.
        is_half: store weights in half precision and cast them when the model is loaded: half the
            bytes, and small errors.
    """
    height, width = (torch.export.Dim(name, min=1, max=128) for name in ("rows", "columns"))
    program = torch.onnx.export(
        generator,
        (torch.rand(1, 1, 2 * multiple, 3 * multiple),),
        dynamo=True,
        opset_version=18,
        input_names=["L"],
        output_names=["ab"],
        dynamic_shapes=({2: multiple * height, 3: multiple * width},),
        verbose=False,
    )
    model = program.model_proto
    if is_half:
        model = with_half_weights(model)
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def with_half_weights(model):
    """A copy of an ONNX model whose float weights are stored in half precision."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    halved, casts = type(model)(), []
    halved.CopyFrom(model)
    for weight in halved.graph.initializer:
        if weight.data_type == TensorProto.FLOAT and len(weight.dims) > 0:
            name, values = weight.name, numpy_helper.to_array(weight)
            stored = numpy_helper.from_array(values.astype(np.float16), f"{name}_half")
            weight.CopyFrom(stored)
            casts.append(helper.make_node("Cast", [stored.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    return halved
