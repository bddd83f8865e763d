# A service that computes nothing heavy: docker build --build-arg SERVICE=clean -f deploy/docker/service.Dockerfile .
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG SERVICE
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
COPY requirements/ /requirements/
RUN python -m venv --without-pip /app \
 && python -m pip --python /app/bin/python install -r "/requirements/${SERVICE}.txt"

FROM ${BASE_IMAGE}
ARG SERVICE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bookmill-${SERVICE}" \
      org.opencontainers.image.description="The ${SERVICE} service of Bookmill" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /app /app
# Only what this service imports: what all share, its own folder, and the messages.
COPY protos/bookmill /app/src/bookmill
COPY services/__init__.py services/__main__.py /app/src/services/
COPY services/common /app/src/services/common
COPY services/jobs /app/src/services/jobs
COPY services/${SERVICE} /app/src/services/${SERVICE}
ENV PATH=/app/bin:$PATH \
    PYTHONPATH=/app/src \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BOOKMILL_SERVICE=${SERVICE} \
    BOOKMILL_HOST=0.0.0.0 \
    BOOKMILL_PORT=50051 \
    TMPDIR=/tmp
USER 10001:10001
WORKDIR /tmp
EXPOSE 50051
ENTRYPOINT ["python", "-m", "services"]
