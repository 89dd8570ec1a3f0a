"""Runs a tower of a CLIP model by ONNX Runtime, exported from the very model that was loaded.

On CPUs where PyTorch's own kernels are slow this doubles the speed of float32, and int8 weights
make it five times; the extra ``onnx`` brings what is needed.
"""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def to_onnx(
    model: torch.nn.Module,
    encode: Callable[[Any], Any],
    example: torch.Tensor,
    *,
    quantize: bool,
    threads: int,
) -> Callable[[Any], Any]:
    """A function that does what `encode` does.

    Args:
      model: holds the weights.
      encode: images or token rows to features, by the model.
      example: a batch. Token rows, of shape [n, length], may come in any other length later.
      quantize: hold the weights of linear layers in 8 bits, their inputs quantised as they come.

    Raises:
      FileNotFoundError: ONNX or ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  the exporter needs it
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise FileNotFoundError(
            f"clip: backend onnxruntime needs the extra onnx: pip install 'weft[onnx]' ({error})"
        ) from None

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model  # so that the exporter finds the weights

        def forward(self, batch: torch.Tensor) -> Any:
            return encode(batch)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    lengths = {1: torch.export.Dim("length", min=2)} if example.ndim == 2 else None
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # what the exporter says of itself
        path = Path(folder) / "tower.onnx"
        torch.onnx.export(
            Tower().eval(),
            (example,),
            path,
            input_names=["batch"],
            output_names=["features"],
            dynamic_shapes={"batch": lengths},
            external_data=True,  # one file holds 2 GB at most
            dynamo=True,
            verbose=False,
        )
        if quantize:
            quantized = path.with_name("int8.onnx")
            quantize_dynamic(
                path,
                quantized,
                op_types_to_quantize=["MatMul", "Gemm"],
                weight_type=QuantType.QInt8,
                use_external_data_format=True,
            )
            path = quantized
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(batch: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run(None, {"batch": batch.numpy()})[0])

    return run
