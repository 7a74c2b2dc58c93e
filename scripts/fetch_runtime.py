"""Downloads ONNX Runtime Web with npm, checks it, and packs the two files that pages need.

    python scripts/fetch_runtime.py [TARBALL]

TARBALL is the package's file, if it is on this machine already. A runtime that is complete is kept.
"""

import gzip
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from centernet.errors import InputError
from centernet.export.runtime import (
    FOLDER,
    PACKAGE,
    SCRIPT,
    SHA512,
    VERSION,
    WASM,
    load_runtime,
)
from centernet.files import atomic_write

_SCRIPT = "package/dist/ort.wasm.bundle.min.mjs"
_WASM = "package/dist/ort-wasm-simd-threaded.wasm"
_EXPORTS = re.compile(r"export\{([^{}]*)\};\s*(?://# sourceMappingURL=\S+\s*)?$")


def main() -> None:
    try:
        load_runtime()
        return
    except InputError:
        pass
    with tempfile.TemporaryDirectory() as folder:
        tarball = Path(sys.argv[1]) if len(sys.argv) > 1 else download(Path(folder))
        data = tarball.read_bytes()
    if hashlib.sha512(data).hexdigest() != SHA512:
        fail(f"{tarball} is not {PACKAGE} {VERSION}: its SHA-512 differs from {SHA512[:16]}...")
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        with tarfile.open(fileobj=file) as package:
            write(FOLDER / SCRIPT, as_constant(member(package, _SCRIPT).decode()).encode())
            write(FOLDER / WASM, member(package, _WASM))
    print(f"{PACKAGE} {VERSION} is in {FOLDER}")


def download(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        fail("npm is missing; on Debian or Ubuntu: sudo apt-get install -y npm")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--fetch-retries=1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    tarballs = list(folder.glob("*.tgz"))
    if done.returncode or not tarballs:
        reason = (done.stderr.strip() or done.stdout.strip() or "no file").splitlines()[-1]
        fail(f"npm cannot download {PACKAGE} {VERSION} ({reason}); check the internet connection")
    return tarballs[0]


def member(package: tarfile.TarFile, name: str) -> bytes:
    file = package.extractfile(name)
    assert file is not None, name
    return file.read()


def as_constant(module: str) -> str:
    """A classic script, from a module, that defines ``ort``: browsers start no module from disk."""
    exports = _EXPORTS.search(module)
    assert exports, "the module does not end with its exports"
    pairs = (name.split(" as ") for name in exports[1].split(","))
    entries = ",".join(f"{as_name}:{name}" for name, as_name in pairs)
    body = module[: exports.start()].replace("import.meta.url", "self.location.href")
    assert "import.meta" not in body
    return f"const ort=(()=>{{{body}return{{{entries}}}}})();\n"


def write(path: Path, content: bytes) -> None:
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(gzip.compress(content, 9, mtime=0))


def fail(message: str) -> None:
    sys.exit(f"HTML export is not available: {message}, then run `make runtime`")


if __name__ == "__main__":
    main()
