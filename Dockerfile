# Two stages: wheels are installed with their hashes in the first, and only what they installed is kept.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md ./
RUN python -m venv /opt/atrium \
 && /opt/atrium/bin/pip install --no-cache-dir --only-binary :all: --no-deps --require-hashes -r requirements.lock \
 && /opt/atrium/bin/pip install --no-cache-dir setuptools
COPY server server
COPY generated generated
COPY migrations migrations
RUN /opt/atrium/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/atrium/bin/pip uninstall --yes setuptools pip

FROM python:3.12-slim
RUN useradd --system --create-home --home-dir /var/lib/atrium --uid 10001 atrium
COPY --from=build /opt/atrium /opt/atrium
USER atrium
WORKDIR /var/lib/atrium
ENV PATH=/opt/atrium/bin:$PATH \
    ATRIUM_ENVIRONMENT=production \
    ATRIUM_ADDRESS=0.0.0.0:50051 \
    ATRIUM_DATA_DIR=/var/lib/atrium/data
VOLUME /var/lib/atrium/data
EXPOSE 50051
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-m", "server.health"]
ENTRYPOINT ["atrium"]
CMD ["serve"]
