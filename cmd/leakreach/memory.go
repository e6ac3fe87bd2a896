package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

const (
	// defaultMemory lets contents of 100 MiB pass, and keeps within what the smallest hosted runners have to spare.
	defaultMemory = audit.Memory(1 << 30)
	// minMemory is what the rules, one content of 32 MiB with what is made of it, and one container being unpacked need together.
	minMemory = audit.Memory(256 << 20)
)

// uncounted is what the process takes beside what the runtime counts, in bytes: the program's own text, and indexes of packs, which are
// mapped.
const uncounted = 96 << 20

// size is a flag value in bytes: a number, alone or with a unit of 1024.
type size struct{ value *audit.Memory }

// units are those that String may choose, largest first.
var units = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

func (s size) String() string {
	if s.value == nil {
		return ""
	}
	return sizeText(int64(*s.value))
}

func sizeText(n int64) string {
	for _, u := range units {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func (size) Type() string { return "SIZE" }

func (s size) Set(text string) error {
	n, err := parseSize(text)
	if err != nil {
		return err
	}
	m := audit.Memory(n)
	if m < minMemory {
		return audit.Hint(fmt.Errorf("%s is less than %s", text, size{new(minMemory)}),
			"the rules, one content and one container that is unpacked need that much")
	}
	*s.value = m
	return nil
}

func parseSize(text string) (int64, error) {
	number, unit := text, int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = rest, u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && n > uint64(math.MaxInt64/unit):
		return 0, fmt.Errorf("%q is too large", text)
	case err != nil:
		return 0, audit.Hint(fmt.Errorf("%q is no size", text), "a size is a whole number of bytes, or of KiB, MiB or GiB: 512MiB")
	}
	return int64(n) * unit, nil
}

// limitMemory has the runtime keep the process below m. What is set for the runtime by its own variables counts where it is stricter.
func limitMemory(m audit.Memory) {
	if limit := int64(m - max(m/8, uncounted)); limit < debug.SetMemoryLimit(-1) {
		debug.SetMemoryLimit(limit)
	}
	if os.Getenv("GOGC") == "" {
		boundGarbage(int64(m))
	}
}

// boundGarbage has the runtime collect when there is garbage for a 32nd of m, or less where it and what is in use would exceed three 16ths of m, but
// at least for a tenth of what is in use, and a third of what has pointers. The runtime's own bound is as much as what is in use. Most of what a
// scan holds has no pointers (contents, directories of a history) and costs a collection nothing, so garbage hardly has to grow with it. Half of
// that 32nd would take up to 11 % more CPU on histories that have little in use.
func boundGarbage(m int64) {
	const smallest = 4 << 20 // of what is in use, as the runtime reckons before it has collected once
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/heap:bytes"}}
	type sentinel [16]byte // smaller ones share their room, and die with the last of it
	var adjust func(*sentinel)
	adjust = func(*sentinel) {
		metrics.Read(heap)
		inUse, pointers := max(int64(heap[0].Value.Uint64()), smallest), int64(heap[1].Value.Uint64())
		garbage := max(min(m/32, 3*m/16-inUse), inUse/10, pointers/3)
		debug.SetGCPercent(int(100 * garbage / inUse))
		runtime.SetFinalizer(new(sentinel), adjust) // to be called after the next collection
	}
	adjust(nil)
}
