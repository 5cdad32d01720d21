# The device part as a container, for x86-64 and arm64 alike:
#
#     docker build --tag edge-fgir .
#     docker build --tag edge-fgir-arm --build-arg RUNTIME=arm --platform linux/arm64 .
#     docker run --rm --read-only --network none --volume "$PWD:/work" edge-fgir predict birds.fgir photos
#
# and its tests, as the user without a name that the image runs as:
#
#     docker build --tag edge-fgir-tests --target tests .
#     docker run --rm --read-only --tmpfs /tmp edge-fgir-tests

ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --quiet --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim AS device
# openvino, arm (ONNX Runtime) or litert: a file of requirements/.
ARG RUNTIME=openvino
COPY requirements/${RUNTIME}.txt /requirements.txt
RUN pip install --quiet --no-cache-dir --require-hashes --requirement /requirements.txt
COPY --from=wheel /wheels /wheels
RUN pip install --quiet --no-cache-dir --no-deps /wheels/*.whl && rm -r /wheels
# A number without a name, as clusters give one to each container; nothing in the image is its own.
USER 10001:10001
ENV PYTHONDONTWRITEBYTECODE=1
WORKDIR /work
ENTRYPOINT ["edge-fgir"]

FROM device AS tests
USER root
RUN pip install --quiet --no-cache-dir "pytest>=8.2" "hypothesis>=6.100" "onnx>=1.18"
COPY tests /source/tests
COPY pyproject.toml /source/
USER 10001:10001
WORKDIR /source
ENTRYPOINT ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
CMD ["tests/runtime", "tests/attacks", "tests/describing", "tests/cli/test_camera.py"]

# What is built when no target is named.
FROM device
