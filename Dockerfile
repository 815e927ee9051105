# Damselfly as a container, in place of the `redis` image:
#
#   docker build -t damselfly .
#   docker run -p 6379:6379 -v data:/data damselfly --maxmemory 1gb
#   docker run -v ./redis.conf:/etc/redis.conf damselfly /etc/redis.conf
#   docker run damselfly redis-server --port 7000
#   docker exec <container> redis-cli ping

# Node.js's current LTS release.
ARG NODE_IMAGE=node:26-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --omit=dev --no-audit --no-fund

FROM ${NODE_IMAGE}
# The ids of the `redis` image, so that its volumes can be taken over. Health checks, Testcontainers and people who look
# inside expect a redis-cli.
RUN groupadd --system --gid 999 damselfly \
  && useradd --system --uid 999 --gid damselfly --home-dir /data --no-create-home damselfly \
  && mkdir /data \
  && chown damselfly:damselfly /data \
  && apt-get update \
  && apt-get install -y --no-install-recommends redis-tools \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=build /build/package.json /build/LICENSE ./
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/dist/bundle ./dist/bundle
COPY --chmod=755 docker/entrypoint.sh docker/healthcheck.sh /app/docker/
RUN for name in damselfly redis-server valkey-server; do \
    ln -s /app/dist/bundle/src/process/cli.js /usr/local/bin/$name; \
  done \
  && ln -s /usr/bin/redis-cli /usr/local/bin/valkey-cli

ENV NODE_ENV=production
# By number, so that Kubernetes sees that it is not root.
USER 999:999
WORKDIR /data
VOLUME /data
EXPOSE 6379
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["/app/docker/healthcheck.sh"]
ENTRYPOINT ["/app/docker/entrypoint.sh"]
CMD ["damselfly"]
