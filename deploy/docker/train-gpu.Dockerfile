# The training program on one NVIDIA GPU: docker build -f deploy/docker/train-gpu.Dockerfile .
# CUDA comes with the wheels; the node brings the driver.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS code
COPY protos/bookmill /src/bookmill
COPY services/__init__.py /src/services/
COPY services/common /src/services/common
COPY services/jobs /src/services/jobs
COPY services/evaluation /src/services/evaluation
COPY services/train /src/services/train
# Compiled here, since nothing can be written where it runs.
RUN python -m compileall -q --invalidation-mode unchecked-hash /src

FROM ${BASE_IMAGE}
ARG BASE_IMAGE
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Triton compiles kernels when they are first run: it needs a C compiler, and Python's headers, which the base has.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
COPY requirements/train-gpu.txt requirements/constraints-gpu.txt /app/requirements/
RUN python -m venv --without-pip /app \
 && python -m pip --python /app/bin/python install -r /app/requirements/train-gpu.txt
COPY --from=code /src /app/src
# The Job mounts an emptyDir at /cache for what is compiled.
ENV PATH=/app/bin:$PATH \
    PYTHONPATH=/app/src \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    HF_HOME=/cache/huggingface \
    TRITON_CACHE_DIR=/cache/triton \
    TORCHINDUCTOR_CACHE_DIR=/cache/inductor \
    UNSLOTH_COMPILE_LOCATION=/cache/unsloth \
    HOME=/tmp \
    LOGNAME=bookmill \
    TMPDIR=/tmp
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bookmill-train-gpu" \
      org.opencontainers.image.description="The training program of Bookmill, for one NVIDIA GPU" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
WORKDIR /cache
ENTRYPOINT ["python", "-m", "services.train.job"]
CMD ["/etc/bookmill/request/request.json"]
