# docker build --target cpu -t idleak:cpu .
# docker build --target gpu -t idleak:gpu .
FROM python:3.11-slim-bookworm AS base
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
# No telemetry, for what runs here beside idleak too, as Ray's head: distributed/runtime/offline.py.
ENV ORT_DISABLE_TELEMETRY=1 RAY_USAGE_STATS_ENABLED=0 RAY_USAGE_STATS_REPORT_URL=off HF_HUB_OFFLINE=1 \
    HF_HUB_DISABLE_TELEMETRY=1 NO_ALBUMENTATIONS_UPDATE=1 DO_NOT_TRACK=1
# KubeRay's probes call wget.
RUN apt-get update \
    && apt-get install -y --no-install-recommends make wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 idleak \
    # Where there is none, Ray's head asks the metadata services of three clouds which of them it is in.
    && echo '{}' > /home/idleak/ray_bootstrap_config.yaml
WORKDIR /opt/idleak
COPY pyproject.toml constraints.txt Makefile README.md ./
COPY locks locks
COPY distributed distributed
COPY jobs jobs
COPY schemas schemas

FROM base AS cpu
RUN make install VENV=/opt/venv LOCK=cpu
ENV PATH=/opt/venv/bin:$PATH
USER idleak
ENTRYPOINT ["idleak"]

FROM base AS gpu
RUN make install VENV=/opt/venv LOCK=gpu
ENV PATH=/opt/venv/bin:$PATH NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER idleak
ENTRYPOINT ["idleak"]
