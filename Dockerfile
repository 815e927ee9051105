# Damselfly as a container, in place of the `redis` image:
#
#   docker build -t damselfly .
#   docker run -p 6379:6379 -v data:/data damselfly --maxmemory 1gb
#   docker run -v ./redis.conf:/etc/redis.conf damselfly /etc/redis.conf
#   docker run damselfly redis-server --port 7000

FROM node:22-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --omit=dev --no-audit --no-fund

FROM node:22-slim
# The ids of the `redis` image, so that its volumes can be taken over.
RUN groupadd --system --gid 999 damselfly \
  && useradd --system --uid 999 --gid damselfly --home-dir /data --no-create-home damselfly \
  && mkdir /data \
  && chown damselfly:damselfly /data
WORKDIR /app
COPY --from=build /build/package.json /build/LICENSE ./
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/dist/src ./dist/src
COPY --from=build /build/dist/workers ./dist/workers
COPY --chmod=755 docker/entrypoint.sh docker/healthcheck.mjs /app/docker/
RUN ln -s /app/dist/src/process/cli.js /usr/local/bin/damselfly \
  && ln -s /app/dist/src/process/cli.js /usr/local/bin/redis-server

ENV NODE_ENV=production
# By number, so that Kubernetes sees that it is not root.
USER 999:999
WORKDIR /data
VOLUME /data
EXPOSE 6379
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["node", "/app/docker/healthcheck.mjs"]
ENTRYPOINT ["/app/docker/entrypoint.sh"]
CMD ["damselfly"]
