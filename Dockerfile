# syntax=docker/dockerfile:1

# Builds one static binary and ships it alone: no shell, no libraries, nothing to update but the binary itself.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Beside the binary: what is in it, for scanners (an SBOM), and the licenses of all that.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    binary="$(cargo run --quiet --locked --package xtask -- dist)" \
    && folder="$(dirname "$binary")" \
    && mkdir --parents /out/licenses \
    && cp "$binary" "$folder/sessiongate.cdx.json" /out/ \
    && cp LICENSE-APACHE LICENSE-MIT "$folder/rust-library-licenses.html" "$folder/sessiongate-licenses.txt" /out/licenses/ \
    && ! readelf --program-headers /out/sessiongate | grep --quiet INTERP

FROM scratch
LABEL org.opencontainers.image.title="sessiongate" \
      org.opencontainers.image.description="An auth gateway that opens Auth.js and NextAuth sessions in front of any service" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

# The certificates of public authorities are part of the binary; private ones are named by the settings.
COPY --from=build /out/ /

# "nobody". Any other user id works as well: nothing is written anywhere.
USER 65534:65534
EXPOSE 8080
# Asks the admin listener on the container's own loopback, as ADMIN_LISTEN says.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/sessiongate", "healthcheck"]
ENTRYPOINT ["/sessiongate"]
CMD ["serve"]
