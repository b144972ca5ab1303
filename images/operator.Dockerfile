# The operator. The build context is made by `make images`: app/ holds dist/, package.json and the production
# node_modules. It needs no right on the machine: it only talks to the Kubernetes API.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY app/ /app/
WORKDIR /app
ENV NODE_ENV=production
USER 1000:1000
ENTRYPOINT ["/usr/bin/tini", "-s", "--"]
CMD ["node", "/app/dist/operator/main.js"]
