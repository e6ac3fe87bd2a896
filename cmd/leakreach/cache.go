package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/leakreach/leakreach/audit"
)

// defaultCache holds the packs of some 500 repositories of 20 MB, and is small beside the disk of a machine that does sweeps.
const defaultCache = 10 << 30

// cacheSize is the value of --cache-size: a size, or nothing, and then it depends on --store.
type cacheSize struct{ value *int64 }

func cacheFlag(f *pflag.FlagSet, value *int64) {
	*value = -1
	f.Var(cacheSize{value}, "cache-size", "how much to keep of what was fetched from forges, so that the next run fetches and scans only what is new; 0 for nothing (default 10GiB with --store)")
}

func (s cacheSize) String() string {
	if s.value == nil || *s.value < 0 {
		return ""
	}
	return sizeText(*s.value)
}

func (cacheSize) Type() string { return "SIZE" }

func (s cacheSize) Set(text string) (err error) {
	*s.value, err = parseSize(text)
	return err
}

// cache is where what was fetched is kept. Without a directory there is none.
func (o *scanOptions) cache(getenv func(string) string) audit.Cache {
	size := o.cacheSize
	if size < 0 && o.store != "" {
		size = defaultCache
	}
	dir := getenv("LEAKREACH_CACHE_DIR")
	if user, err := os.UserCacheDir(); dir == "" && err == nil {
		dir = filepath.Join(user, "leakreach")
	}
	if size <= 0 || dir == "" {
		return audit.Cache{}
	}
	return audit.Cache{Dir: dir, Size: size}
}
