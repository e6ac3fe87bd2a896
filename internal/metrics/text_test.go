package metrics

import "testing"

// TestText: whatever stands in a label, the page keeps its form.
func TestText(t *testing.T) {
	got := text([]family{
		by("x_total", "a \\ and a\nline", "name", map[string]int{"b\"\\\n}": 1_000_000_000, "a": 2, "\xff": 3}),
		{name: "nothing", help: "has no sample"},
		one("y", "h", 0.25),
	})
	want := `# HELP x_total a \\ and a\nline
# TYPE x_total counter
x_total{name="a"} 2
x_total{name="b\"\\\n}"} 1000000000
x_total{name="�"} 3
# HELP y h
# TYPE y gauge
y 0.25
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
