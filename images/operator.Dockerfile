# The operator. It needs no right on the machine: it only talks to the Kubernetes API.
# The build context is made by `make images`: bundles, the packages with native parts, the licences of the others.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY package.json LICENSE sbom.cdx.json dist/packages.json /app/
COPY licences/ /app/licences/
COPY dist/operator/ /app/dist/operator/
WORKDIR /app
ENV NODE_ENV=production
USER 1000:1000
ENTRYPOINT ["/usr/bin/tini", "-s", "--"]
CMD ["node", "--max-semi-space-size=4", "--optimize-for-size", "/app/dist/operator/main.js"]
