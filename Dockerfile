# syntax=docker/dockerfile:1

# Builds one static binary and ships it alone: no shell, no libraries, nothing to update but the binary itself.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# `--target` keeps the static linking away from build scripts and macros, which must stay loadable by the compiler.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    target="$(rustc -vV | sed -n 's/host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --profile dist --locked --package sessiongate --target "$target" \
    && cp "target/$target/dist/sessiongate" /sessiongate \
    && ! readelf --program-headers /sessiongate | grep --quiet INTERP

FROM scratch
LABEL org.opencontainers.image.title="sessiongate" \
      org.opencontainers.image.description="An auth gateway that opens Auth.js and NextAuth sessions in front of any service" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

# The certificates of public authorities are part of the binary; private ones are named by the settings.
COPY --from=build /sessiongate /sessiongate

# "nobody". Any other user id works as well: nothing is written anywhere.
USER 65534:65534
EXPOSE 8080
# Asks the admin listener on the container's own loopback, as ADMIN_LISTEN says.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/sessiongate", "healthcheck"]
ENTRYPOINT ["/sessiongate"]
CMD ["serve"]
