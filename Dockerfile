# The command line in an image: docker build -t scpoli . && docker run --rm -v "$PWD:/data" scpoli inspect cells.h5ad
FROM node:22-slim AS build
WORKDIR /src
COPY . .
RUN mkdir /package && npm ci && npm run build && npm pack --ignore-scripts --pack-destination /package

FROM node:22-slim
COPY --from=build /package /package
RUN npm install --global --cache /package/cache /package/scpoli-*.tgz && rm -r /package
ENV SCPOLI_CACHE=/data/.scpoli
USER node
WORKDIR /data
ENTRYPOINT ["scpoli"]
CMD ["--help"]
