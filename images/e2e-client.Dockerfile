# The pod that uses a pair while tests break it: the file server's image and the tests' writer, bundled.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY e2e/ /app/dist/e2e/
