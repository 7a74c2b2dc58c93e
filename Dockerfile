# Detection with an exported model, on the CPU, without PyTorch.
#
#     docker build -t centernet .
#     docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" centernet \
#         photo.jpg --weights model.onnx --output detections
#
# Over HTTP, see docs/serving.md:
#
#     docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD:/work:ro" --entrypoint centernet \
#         centernet serve --weights model.onnx --host 0.0.0.0
#
# Paths are relative to the current folder, which the container sees as /work.

FROM python:3.13-slim

# System libraries that opencv-python links to. Without versions, because Debian removes old ones.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 libxcb1 \
    && rm -rf /var/lib/apt/lists/*

COPY pyproject.toml README.md LICENSE /src/
COPY centernet /src/centernet
COPY configs /src/configs
RUN pip install --no-cache-dir "/src[onnx,serve]" && rm -rf /src

WORKDIR /work
ENTRYPOINT ["centernet", "detect"]
CMD ["--help"]
