# A service that computes nothing heavy: docker build --build-arg SERVICE=clean -f deploy/docker/service.Dockerfile .
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS code
ARG SERVICE
COPY protos/bookmill /src/bookmill
COPY services/__init__.py services/__main__.py /src/services/
COPY services/common /src/services/common
COPY services/jobs /src/services/jobs
COPY services/${SERVICE} /src/services/${SERVICE}
# Only two services launch jobs. Compiled here, since nothing can be written where it runs.
RUN case "${SERVICE}" in train|export) ;; *) rm -r /src/services/jobs ;; esac \
 && python -m compileall -q --invalidation-mode unchecked-hash /src

FROM ${BASE_IMAGE}
ARG BASE_IMAGE
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# What all services need is a layer that their images share.
COPY requirements/base.txt requirements/constraints.txt /app/requirements/
RUN python -m venv --without-pip /app \
 && python -m pip --python /app/bin/python install -r /app/requirements/base.txt
ARG SERVICE
COPY requirements/${SERVICE}.txt /app/requirements/
ARG PACKAGES=/app/lib/python3.11/site-packages
# Parts of two large packages that no service uses: PyArrow's headers, tests and servers, an asynchronous client.
RUN python -m pip --python /app/bin/python install -r "/app/requirements/${SERVICE}.txt" \
 && rm -rf $PACKAGES/pyarrow/include $PACKAGES/pyarrow/tests \
      $PACKAGES/pyarrow/*flight* $PACKAGES/kubernetes/aio
COPY --from=code /src /app/src
ENV PATH=/app/bin:$PATH \
    PYTHONPATH=/app/src \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BOOKMILL_SERVICE=${SERVICE} \
    BOOKMILL_HOST=0.0.0.0 \
    BOOKMILL_PORT=50051 \
    HOME=/tmp \
    TMPDIR=/tmp
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bookmill-${SERVICE}" \
      org.opencontainers.image.description="The ${SERVICE} service of Bookmill" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
WORKDIR /tmp
EXPOSE 50051
ENTRYPOINT ["python", "-m", "services"]
