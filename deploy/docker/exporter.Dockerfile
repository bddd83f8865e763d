# The export program: docker build -f deploy/docker/exporter.Dockerfile .
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
COPY requirements/ /requirements/
RUN python -m venv --without-pip /app \
 && python -m pip --python /app/bin/python install -r /requirements/exporter.txt

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bookmill-exporter" \
      org.opencontainers.image.description="The export program of Bookmill: merge, GGUF, parity" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /app /app
COPY protos/bookmill /app/src/bookmill
COPY services/__init__.py /app/src/services/
COPY services/common /app/src/services/common
COPY services/jobs /app/src/services/jobs
COPY services/evaluation /app/src/services/evaluation
COPY services/export /app/src/services/export
# No hub is reached from a job; caches go where a read-only root lets them.
ENV PATH=/app/bin:$PATH \
    PYTHONPATH=/app/src \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    HF_HOME=/tmp/huggingface \
    TMPDIR=/tmp
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["python", "-m", "services.export.job"]
CMD ["/etc/bookmill/request/request.json"]
