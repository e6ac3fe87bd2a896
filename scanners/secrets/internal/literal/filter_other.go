//go:build !amd64 && !arm64

package literal

// filters lists the filters that this machine can run, the fastest first.
func filters() []func(*[buckets]bucket) filter {
	return []func(*[buckets]bucket) filter{newPortable}
}
