# The service: docker build -t credit-risk .
# The image with the notebooks, to retrain: docker build --target retrain -t credit-risk-retrain .
# Behind a proxy or a mirror: --build-arg BASE=… --build-arg PIP_INDEX_URL=…
ARG BASE=python:3.12.14-slim-bookworm@sha256:0f5b26b9518d002b6173fd61daad821fa340635ebfec5bba471013f9ca114579

FROM ${BASE} AS build
ARG PIP_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ONLY_BINARY=:all:
WORKDIR /app
RUN python3 -m venv --without-pip /venv
COPY requirements/serve.lock requirements/
RUN python3 -m pip --python /venv install --require-hashes -r requirements/serve.lock
# the project is read from /app: write its path, its release and its command
COPY settings.ini ./
RUN site=$(/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
 && release=$(sed -n 's/^version = //p' settings.ini) && mkdir "$site/credit_risk-$release.dist-info" \
 && printf 'Metadata-Version: 2.1\nName: credit-risk\nVersion: %s\n' "$release" > "$site/credit_risk-$release.dist-info/METADATA" \
 && echo /app > "$site/app.pth" \
 && printf '#!/venv/bin/python\nfrom credit_risk.cli import main\nmain()\n' > /venv/bin/credit-risk && chmod 755 /venv/bin/credit-risk \
 && find /venv -name __pycache__ -prune -exec rm -rf {} +

FROM build AS build-retrain
COPY requirements/run.lock requirements/
RUN python3 -m pip --python /venv install --require-hashes -r requirements/run.lock

FROM ${BASE} AS base
RUN groupadd --gid 10001 app && useradd --uid 10001 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app \
 && install -d -o app -g app /app/artifacts /app/var
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 CREDIT_RISK_ARTIFACTS=/app/artifacts
WORKDIR /app
COPY sql sql
COPY credit_risk credit_risk
USER 10001:10001

FROM base AS retrain
USER 0
# no version is pinned: Debian removes old releases of a package, and the base image is pinned
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build-retrain /venv /venv
COPY requirements/run.lock requirements/
COPY nbs nbs
ENV MPLCONFIGDIR=/tmp/matplotlib IPYTHONDIR=/tmp/ipython JUPYTER_RUNTIME_DIR=/tmp/jupyter
USER 10001:10001
ENTRYPOINT ["credit-risk"]
CMD ["retrain"]

FROM base AS service
COPY --from=build /venv /venv
COPY site site
COPY api api
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "api", "--host", "0.0.0.0", "--port", "8000", "--workers", "2"]
