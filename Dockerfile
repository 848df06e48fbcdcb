# A server for media streams: docker build -t sidetone . && docker run --read-only -p 8080:8080 sidetone
# docs/operations.md says what to give it. `npm run test:container` proves what it says of the image.

FROM debian:trixie-slim AS build
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates cmake g++ ninja-build npm
# The Node.js that the image is going to have; npm picks the binaries of uWebSockets.js by it.
RUN npm install --prefix /opt/node --no-audit --no-fund node@24 && strip -o /usr/local/bin/node /opt/node/node_modules/node/bin/node
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY CMakeLists.txt tsconfig.json ./
COPY native native
COPY scripts scripts
RUN npm run build:native
COPY src src
RUN npm run build:ts
RUN npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM debian:trixie-slim
ENV DEBIAN_FRONTEND=noninteractive
# The AMR-WB codecs; they are opened at run time.
RUN apt-get update && apt-get install -y --no-install-recommends libopencore-amrwb0 libstdc++6 libvo-amrwbenc0 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /src/package.json /app/package.json
COPY --from=build /src/node_modules /app/node_modules
COPY --from=build /src/build/Release/sidetone.node /app/build/Release/sidetone.node
COPY --from=build /src/dist/src /app/dist/src
COPY assets /app/assets
COPY LICENSE NOTICE /app/
RUN printf '#!/bin/sh\nexec node --max-semi-space-size=2 /app/dist/src/cli/main.js "$@"\n' > /usr/local/bin/sidetone && chmod 755 /usr/local/bin/sidetone && mkdir /plugins
ENV NODE_ENV=production SIDETONE_HOST=0.0.0.0
WORKDIR /plugins
USER 10001:10001
EXPOSE 8080 9090
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["node", "-e", "fetch('http://127.0.0.1:9090/healthz').then(answer => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["sidetone"]
CMD ["serve"]
