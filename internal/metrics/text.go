package metrics

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// A family is a metric with all its samples. This program has gauges and counters only: the text format of those is four rules long, and the
// library for it would be a tenth of the program and eight modules more to trust.
//
// The format is that of https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4.
type family struct {
	name, help string
	samples    []sample
}

// contentType is the format's.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// A sample is a value with its labels, name by value.
type sample struct {
	labels map[string]string
	value  float64
}

// one is a family of a single sample without labels.
func one[N int | int64 | uint64 | float64](name, help string, n N) family {
	return family{name, help, []sample{{nil, float64(n)}}}
}

// by is a family with a sample for each value of a label.
func by[N int | int64](name, help, label string, ns map[string]N) family {
	f := family{name: name, help: help}
	for v, n := range ns {
		f.samples = append(f.samples, sample{map[string]string{label: v}, float64(n)})
	}
	return f
}

// kind follows from the name, as the conventions want it.
func (f *family) kind() string {
	if strings.HasSuffix(f.name, "_total") {
		return "counter"
	}
	return "gauge"
}

// text writes families that have samples, in a stable order.
func text(families []family) string {
	var b strings.Builder
	for _, f := range families {
		if len(f.samples) == 0 {
			continue
		}
		b.WriteString("# HELP " + f.name + " " + strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(f.help) + "\n")
		b.WriteString("# TYPE " + f.name + " " + f.kind() + "\n")
		lines := make([]string, len(f.samples))
		for i, s := range f.samples {
			lines[i] = f.name + labels(s.labels) + " " + strconv.FormatFloat(s.value, 'f', -1, 64) + "\n"
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	return b.String()
}

func labels(m map[string]string) string {
	if len(m) == 0 {
		return ""
	}
	var parts []string
	for name, v := range m {
		v = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(v, "\ufffd"))
		parts = append(parts, name+`="`+v+`"`)
	}
	slices.Sort(parts)
	return "{" + strings.Join(parts, ",") + "}"
}

// seconds is a time as Prometheus has it; 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
