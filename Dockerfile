# The operator's image: the program, the libraries that it is linked to, root certificates and a user. No shell. Where there is
# no engine, `make image` makes the same.
FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates
WORKDIR /spacesync
COPY . .
RUN cargo build --release --locked --bin spacesync
RUN mkdir /image && cp -rL --parents $(ldd target/release/spacesync | grep -o '/[^ ]*') /etc/ssl/certs/ca-certificates.crt /image

FROM scratch
COPY --from=build /image /
COPY image/etc /etc
COPY --from=build /spacesync/target/release/spacesync /usr/bin/spacesync
USER 65532:65532
EXPOSE 8443 8080
ENTRYPOINT ["/usr/bin/spacesync"]
