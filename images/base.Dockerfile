# What FilerPair's programs run on: Node 24 and a small init. This is the way where an image registry can be
# reached; without one, e2e/application/base-image.ts makes the same from Debian packages.
ARG NODE_IMAGE=node:24-slim
FROM ${NODE_IMAGE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini procps \
    && rm -rf /var/lib/apt/lists/*
