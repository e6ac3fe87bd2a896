package metrics

import (
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
)

// process is what the runtime and the system say of this process, under the names that dashboards for Go programs know.
func process() []family {
	families := []family{{"go_info", "The version of Go that the program was built with.", []sample{{map[string]string{"version": runtime.Version()}, 1}}}}
	for _, m := range []struct{ key, name, help string }{
		{"/sched/goroutines:goroutines", "go_goroutines", "Goroutines that exist."},
		{"/sched/gomaxprocs:threads", "go_sched_gomaxprocs_threads", "Threads that may run Go code at once."},
		{"/memory/classes/heap/objects:bytes", "go_memstats_heap_alloc_bytes", "Bytes of objects, in use or not collected yet."},
		{"/memory/classes/total:bytes", "go_memstats_sys_bytes", "Bytes that the runtime has of the system."},
		{"/gc/heap/goal:bytes", "go_memstats_next_gc_bytes", "Bytes of objects at which the next collection ends."},
		{"/gc/gomemlimit:bytes", "go_gc_gomemlimit_bytes", "Bytes that the runtime keeps below, by --memory."},
	} {
		s := []metrics.Sample{{Name: m.key}}
		if metrics.Read(s); s[0].Value.Kind() == metrics.KindUint64 {
			families = append(families, one(m.name, m.help, s[0].Value.Uint64()))
		}
	}
	return append(families, system()...)
}

// tick is a hundredth of a second: the unit of /proc/PID/stat on every architecture that Go runs on.
const tick = 0.01

// system is what Linux says in /proc, see proc(5); nothing elsewhere.
func system() (families []family) {
	if stat, err := os.ReadFile("/proc/self/stat"); err == nil {
		_, rest, _ := strings.Cut(string(stat), ") ") // the name of the program may hold anything
		if fields := strings.Fields(rest); len(fields) > 21 {
			user, uerr := strconv.ParseFloat(fields[11], 64)
			kernel, kerr := strconv.ParseFloat(fields[12], 64)
			pages, perr := strconv.ParseFloat(fields[21], 64)
			if uerr == nil && kerr == nil {
				families = append(families, one("process_cpu_seconds_total", "Seconds of processors that the process has used.", (user+kernel)*tick))
			}
			if perr == nil {
				families = append(families, one("process_resident_memory_bytes", "Bytes of the process that are in memory.", pages*float64(os.Getpagesize())))
			}
		}
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		families = append(families, one("process_open_fds", "File descriptors that are open.", len(fds)))
	}
	return families
}
