// Package lazyregexp has regular expressions that are compiled when they are first used. Packages declare theirs with it: a run uses few of those
// that the program knows, and its start would wait for all of them.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New declares an expression, which must be one (see [regexp.MustCompile]). What it returns compiles it once, and returns it each time.
func New(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
