"""ONNX Runtime Web, which runs the network inside an exported HTML page.

``make runtime`` downloads it; it is not committed. A wheel that is built afterwards contains it.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path

from centernet.errors import InputError

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
# Of the package's tarball.
SHA512 = (
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61"
)
FOLDER = Path(__file__).parent / "runtime" / VERSION
SCRIPT, WASM = "ort.js.gz", "ort.wasm.gz"


@dataclass(frozen=True)
class Runtime:
    """The files of ONNX Runtime Web.

    Attributes:
        script: a classic script that defines the constant ``ort``.
        wasm: the gzip-compressed WebAssembly binary: CPU, SIMD.
        license: text of the license.
    """

    script: str
    wasm: bytes
    license: str


def load_runtime() -> Runtime:
    """Read the runtime from :data:`FOLDER`.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        return Runtime(
            gzip.decompress((FOLDER / SCRIPT).read_bytes()).decode(),
            (FOLDER / WASM).read_bytes(),
            Path(__file__).with_name("web").joinpath("runtime_license.txt").read_text(),
        )
    except (OSError, EOFError, ValueError) as error:
        raise InputError(
            f"an HTML page needs {PACKAGE} {VERSION}, which is missing in {FOLDER} "
            f"({getattr(error, 'strerror', None) or error}): run `make runtime` in a checkout of "
            "the repository, which needs npm and an internet connection"
        ) from None
