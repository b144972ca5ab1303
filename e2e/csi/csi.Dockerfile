# The tests' CSI driver with Kubernetes' sidecars; image.ts makes the context.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY node_modules/ /app/node_modules/
COPY protocols/ /app/protocols/
COPY driver/ /app/driver/
COPY programs/ /usr/local/bin/
# Debian's own images have util-linux's; ours has busybox's.
RUN printf '{"type":"module"}' >/app/package.json; \
    [ -e /usr/bin/nsenter ] || [ -e /bin/nsenter ] || cp /bin/busybox /bin/nsenter
WORKDIR /app
ENTRYPOINT ["/usr/bin/tini", "-s", "--"]
CMD ["node", "/app/driver/main.ts"]
