# A small image that runs trunkd without root. It uses your Redis (TRUNKD_REDIS__URL). It has no redis-server, so redis.embedded
# does not work in it. compose.yaml runs it beside Redis and FreeSWITCH.
#
#   docker build -t trunkd .
#   docker run --network host -e TRUNKD_REDIS__URL=redis://127.0.0.1:6379 trunkd
#
# Without --network host, set TRUNKD_HTTP__LISTEN=0.0.0.0:8080 and TRUNKD_HTTP__CREDENTIALS: by default trunkd listens on loopback,
# which nothing outside the container can reach.

FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock askama.toml ./
COPY src ./src
# Cargo.toml names the benchmarks, and Cargo builds nothing while their files are missing.
COPY benches ./benches
COPY templates ./templates
# A page shows them.
COPY docs/runbooks.md ./docs/runbooks.md
COPY docs/zh-CN/runbooks.md ./docs/zh-CN/runbooks.md
# The caches outlive a build, so the next one compiles only what changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin trunkd && \
    install -D target/release/trunkd /out/trunkd

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/trunkd --create-home --shell /usr/sbin/nologin trunkd
COPY --from=build /out/trunkd /usr/local/bin/trunkd
COPY templates /etc/trunkd/templates
COPY trunkd.example.toml /etc/trunkd/trunkd.example.toml
# Where trunkd looks for ./trunkd.toml and ./templates.
WORKDIR /etc/trunkd
# The default of data_dir, as systemd would set it. A settings file can still change it.
ENV STATE_DIRECTORY=/var/lib/trunkd
VOLUME /var/lib/trunkd
USER 10001:10001
EXPOSE 8080
# With the settings that the service has.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=5 CMD ["trunkd", "health"]
ENTRYPOINT ["trunkd"]
CMD ["serve"]
