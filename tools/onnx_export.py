"""Export a generator to ONNX, for a browser or any other runtime."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from colorlib.runs import atomic_write

LARGE = 5000  # weights; a layer with fewer is never rounded


def export_onnx(
    generator: nn.Module,
    path: Path,
    mantissa: int | None = None,
    outputs: Sequence[str] = ("ab",),
) -> None:
    """Export a generator for one photo of any height and width.

    The file takes "L" (1, 1, H, W) to "ab" (1, 2, H, W), where H and W are multiples of what the
    generator needs. Weights that half precision can hold are stored in it, and cast when the model
    is loaded; it computes in single precision. So a generator that was saved in half precision
    takes half the bytes, and its numbers stay the same. That's why batch norm is kept: folded into
    the convolutions, it would make new weights, which half precision can't hold.

    Args:
        generator: in eval mode.
        path: of the ONNX file.
        mantissa: round the weights of large layers to this many of half precision's 10 bits after
            the first, so that the file packs better. The errors of many weights average out; small
            layers, the first and the last among them, keep every bit.
        outputs: the names of what the generator returns.
    """
    from onnxscript import optimizer  # installed only where something is exported

    height, width = (torch.export.Dim(name, min=1, max=128) for name in ("rows", "columns"))
    program = torch.onnx.export(
        generator,
        (torch.rand(1, 1, 2 * generator.multiple, 3 * generator.multiple),),
        dynamo=True,
        optimize=False,
        opset_version=18,
        input_names=["L"],
        output_names=[*outputs],
        dynamic_shapes=({2: generator.multiple * height, 3: generator.multiple * width},),
        verbose=False,
    )
    optimizer.fold_constants(program.model)  # `optimize=True` would also fold batch norm
    optimizer.remove_unused_nodes(program.model)
    model = program.model_proto
    store_in_half_precision(model, mantissa)
    forget_origin(model)
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def store_in_half_precision(model, mantissa: int | None) -> None:
    """Store the weights of an ONNX model in half precision wherever that loses nothing."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or not weight.dims:
            continue
        values = numpy_helper.to_array(weight)
        half = values.astype(np.float16)
        if mantissa is not None and values.size >= LARGE:
            half = round_mantissa(half, mantissa)
        elif not np.array_equal(half, values):
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def round_mantissa(half: np.ndarray, mantissa: int) -> np.ndarray:
    """Round float16 numbers to `mantissa` bits after the first; the other bits become 0."""
    dropped = 10 - mantissa
    bits = half.view(np.uint16).astype(np.uint32) + (1 << dropped >> 1)
    return (bits >> dropped << dropped).astype(np.uint16).view(np.float16)


def forget_origin(model) -> None:
    """Remove what an ONNX model tells of this machine: half a megabyte of paths and code lines."""
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]  # shapes, which every runtime finds out for itself
    for node in model.graph.node:
        del node.metadata_props[:]
