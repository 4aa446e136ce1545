# trunkd as an image: small, and not root. It serves a Redis of yours (TRUNKD_REDIS__URL); it holds no redis-server,
# so redis.embedded does not work in it. compose.yaml shows it beside Redis and FreeSWITCH.
#
#   docker build -t trunkd .
#   docker run --network host -e TRUNKD_REDIS__URL=redis://127.0.0.1:6379 trunkd
#
# Without --network host set TRUNKD_HTTP__LISTEN=0.0.0.0:8080, and with it TRUNKD_HTTP__CREDENTIALS: by default trunkd listens on
# loopback, which nobody outside the container reaches.

FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src ./src
COPY templates ./templates
# The caches outlive a build, so that the next one compiles what changed.
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
# As systemd would say it: the default of data_dir, which a settings file may still change.
ENV STATE_DIRECTORY=/var/lib/trunkd
VOLUME /var/lib/trunkd
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["trunkd"]
CMD ["serve"]
