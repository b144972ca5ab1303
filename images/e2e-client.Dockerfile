# The pod that uses a pair while tests break it: the file server's image and, compiled, the test's writer.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY writer/ /app/e2e-dist/
CMD ["node", "/app/e2e-dist/e2e/writer/main.js"]
