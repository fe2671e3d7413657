# One image for every process of the platform; docker-compose.yml says which command each service runs.

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY requirements.txt /tmp/requirements.txt
RUN /opt/venv/bin/pip install --require-hashes --only-binary :all: -r /tmp/requirements.txt

FROM python:3.11-slim
RUN groupadd --system --gid 10001 esm \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin esm
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 STATIC_ROOT=/srv/static
# Where the profile `sim` mounts its volumes: a new named volume takes owner and mode from here.
RUN install --directory --owner esm --group esm --mode 0750 \
    /srv/sim /srv/sim/tls /srv/sim/broker /srv/sim/partner /srv/sim/voke
WORKDIR /srv/esm
COPY --from=build /opt/venv /opt/venv
COPY . .
# The root is read-only when it runs: without this every start and every health check would compile all modules anew.
RUN python -m compileall -q .
# Needs complete settings, not the real ones: these are made for this one command and forgotten.
RUN python scripts/production_env.py python manage.py collectstatic --noinput
USER 10001:10001
EXPOSE 8000
# Exec form: the process itself gets SIGTERM, and each of them stops in an orderly way on it.
CMD ["python", "manage.py", "web"]
