# The operator. It needs no right on the machine: it only talks to the Kubernetes API.
# The build context is made by `make images`: compiled code, and the packages that production needs.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY node_modules/ /app/node_modules/
COPY package.json LICENSE sbom.cdx.json /app/
COPY dist/ /app/dist/
WORKDIR /app
ENV NODE_ENV=production
USER 1000:1000
ENTRYPOINT ["/usr/bin/tini", "-s", "--"]
CMD ["node", "/app/dist/operator/main.js"]
