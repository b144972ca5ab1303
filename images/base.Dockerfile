# What FilerPair's programs run on: Node 24 and a small init. This is the way where an image registry can be
# reached; without one, e2e/application/base-image.ts makes the same from Debian packages.
# By digest: a tag is whatever the registry says today. The tag is for people, and for whoever looks for the next digest.
ARG NODE_IMAGE=node:24-slim@sha256:a9f5f7c91c432850b2a8a7797adf5eadb6c733ceed61167806cee7ea7fbc29df
FROM ${NODE_IMAGE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini procps \
    && rm -rf /var/lib/apt/lists/*
