# The training program on a CPU: docker build -f deploy/docker/train-cpu.Dockerfile .
# PIP_EXTRA_INDEX_URL names a package index with the CPU build of PyTorch; the usual one brings CUDA along.
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
ARG PIP_EXTRA_INDEX_URL=
ARG PACKAGES=/app/lib/python3.11/site-packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The exporter's image begins with the same steps: the largest layer is built, pulled and kept once.
COPY requirements/base.txt requirements/constraints.txt requirements/torch.txt /app/requirements/
RUN python -m venv --without-pip /app \
 && python -m pip --python /app/bin/python install -r /app/requirements/torch.txt \
 && rm -rf $PACKAGES/pyarrow/include $PACKAGES/pyarrow/tests $PACKAGES/torch/include $PACKAGES/torch/test
COPY requirements/train-cpu.txt /app/requirements/
RUN python -m pip --python /app/bin/python install -r /app/requirements/train-cpu.txt
COPY --from=code /src /app/src
# No hub is reached from a job; caches go where a read-only root lets them.
ENV PATH=/app/bin:$PATH \
    PYTHONPATH=/app/src \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    HF_HOME=/tmp/huggingface \
    HOME=/tmp \
    LOGNAME=bookmill \
    TMPDIR=/tmp
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bookmill-train-cpu" \
      org.opencontainers.image.description="The training program of Bookmill, for a CPU" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["python", "-m", "services.train.job"]
CMD ["/etc/bookmill/request/request.json"]
