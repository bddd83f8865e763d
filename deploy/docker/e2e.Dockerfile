# What end-to-end tests run in the cluster: the example catalogue, a load, probes of connections; on a service's image.
ARG BASE_IMAGE=bookmill/clean:dev

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="bookmill-e2e" \
      org.opencontainers.image.description="Programs of Bookmill's end-to-end tests" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY deploy/__init__.py /app/src/deploy/
COPY deploy/examples /app/src/deploy/examples
COPY tests/e2e/programs /app/src/programs
ENTRYPOINT ["python", "-m"]
CMD ["deploy.examples.catalogue", "--host=0.0.0.0", "--port=8600"]
