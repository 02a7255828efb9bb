# The command line in an image: docker build -t scpoli . && docker run --rm -v "$PWD:/data" scpoli inspect cells.h5ad
FROM node:22-slim AS build
WORKDIR /src
COPY . .
RUN npm ci && npm run build && npm pack --ignore-scripts --pack-destination /tmp

FROM node:22-slim
COPY --from=build /tmp/scpoli-*.tgz /tmp/
RUN npm install --global /tmp/scpoli-*.tgz && rm -r /tmp/scpoli-*.tgz /root/.npm
ENV SCPOLI_CACHE=/data/.scpoli
USER node
WORKDIR /data
ENTRYPOINT ["scpoli"]
CMD ["--help"]
