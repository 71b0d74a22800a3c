# Every version is pinned: that of the base here, all others in constraints.txt.
FROM python:3.13.9-slim-trixie AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY reconciler reconciler
RUN python -m venv /opt/reconciler \
 && PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
    /opt/reconciler/bin/pip install --no-cache-dir --disable-pip-version-check .

FROM python:3.13.9-slim-trixie
# The state may be in Git; jq is for rules over a plan. A checkout of CI belongs to another user than ours.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git jq \
 && rm -rf /var/lib/apt/lists/* \
 && git config --system --add safe.directory '*' \
 && useradd --uid 10001 --create-home --shell /usr/sbin/nologin reconciler
COPY --from=build /opt/reconciler /opt/reconciler
ENV PATH=/opt/reconciler/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /work
# The command is the first process: signals arrive, and it heeds them.
ENTRYPOINT ["reconciler"]
CMD ["--help"]
