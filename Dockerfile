# Habeas in one image: every service and system, `migrate`, `topology`, and what the compose file needs besides.
#
# A tag can be moved; for what runs in earnest, pin the base by its digest as well:
#   docker build --build-arg BASE=python:3.11.14-slim-bookworm@sha256:DIGEST .
ARG BASE=python:3.11.14-slim-bookworm

FROM ${BASE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
RUN python3 -m venv /opt/venv
COPY requirements-image.lock /tmp/requirements-image.lock
# Wheels alone, as the lock has them: nothing is compiled, and nothing runs while it is installed.
RUN /opt/venv/bin/python -m pip install --require-hashes --only-binary=:all: -r /tmp/requirements-image.lock
RUN /opt/venv/bin/python -m pip uninstall --yes setuptools pip
COPY operations/compose/habeas /opt/venv/bin/habeas
COPY habeas /opt/habeas/habeas
COPY shared /opt/habeas/shared
COPY services /opt/habeas/services
COPY systems /opt/habeas/systems
COPY operations /opt/habeas/operations
COPY registry /opt/habeas/registry
# The root file system is read-only when it runs, so the byte code is made now.
RUN /opt/venv/bin/python -m compileall -q /opt/venv/lib /opt/habeas

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Habeas" \
      org.opencontainers.image.description="Data subject requests as events: services, systems and operators' commands" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/habeas \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    HABEAS_HTTP_HOST=0.0.0.0 \
    HABEAS_HTTP_PORT=8080
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /opt/habeas /opt/habeas
# What volumes are mounted on, owned by the user below; everything else stays root's.
RUN ["python", "-m", "operations.compose", "folders"]
WORKDIR /habeas
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-I", "-S", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8080, timeout=4); c.request('GET', '/health/ready'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["habeas"]
CMD ["--help"]
