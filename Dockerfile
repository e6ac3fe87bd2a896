# The program is one static binary. The base is there for git, which reads histories and clones, and for the certificates.
# A digest decides what is pulled; the tag before it is for readers.
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d AS build
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /out/leakreach ./cmd/leakreach

FROM debian:13.7-slim@sha256:a29215f6a35e51e22adffa17f89e9d2ef06214e64a2bad10d765c46aea49f11f
# Versions are left to Debian's stable release: pinned ones would keep known holes, and vanish from its mirrors.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 65532 --create-home leakreach
COPY --from=build /out/leakreach /usr/local/bin/leakreach
USER 65532:65532
WORKDIR /repo
ENTRYPOINT ["leakreach"]
CMD ["scan", "."]
