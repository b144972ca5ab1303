# The file server, its sentinel and the client's command: one image, three programs.
#
#   node /app/dist/fileserver/main.js --config FILE           the server
#   node /app/dist/fileserver/sentinel/main.js --config FILE  its sentinel
#   filerpair ...                                             the client (ls, cp, proxy, ...)
#
# The build context is made by `make images`: bundles, the packages with native parts, the licences of the others.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY node_modules/ /app/node_modules/
COPY package.json LICENSE sbom.cdx.json dist/packages.json /app/
COPY licences/ /app/licences/
COPY dist/fileserver/ /app/dist/fileserver/
COPY dist/client/ /app/dist/client/
COPY bin/ /usr/local/bin/
WORKDIR /app
# glibc would give each of some seventy threads a heap of its own to allocate from. Few of them allocate, and what one has
# freed the others can't use: two are as fast, and the server is 15 to 20 MiB smaller.
ENV NODE_ENV=production MALLOC_ARENA_MAX=2
# The kernel ignores the dead man's switch's signal for PID 1 of a PID namespace, so the server must not be PID 1:
# tini is. (In a pod with a shared process namespace PID 1 is the pod's pause process.)
# -s: reap children as a subreaper also where tini is not PID 1.
ENTRYPOINT ["/usr/bin/tini", "-s", "--"]
CMD ["node", "/app/dist/fileserver/main.js"]
# Ports: primary, secondary (closed until takeover), interconnect, metrics.
EXPOSE 2049 2050 7420 9090
