package engine_test

import (
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// TestKnown: what a provider knows does not count, unless it lies elsewhere too; and unlike a comment it is believed wherever it is.
func TestKnown(t *testing.T) {
	const value = "bbbbbbbbbbbbbbbbbbbbbbbbbb"
	variable := func(name, content string) audit.Item {
		return audit.Item{
			Kind: audit.KindVariable, At: audit.Location{Kind: audit.InVariable, Name: name}, Content: []byte(content),
			Known: &audit.Suppression{By: "provider", Reason: "ends with the job"},
		}
	}
	other := func(name, content string) audit.Item {
		it := variable(name, content)
		it.Known = nil
		return it
	}
	for _, tt := range []struct {
		name  string
		items []any
		want  string
	}{
		{"known", []any{variable("TOKEN", "secret:"+value)}, "word high suppressed by provider [variable :1 TOKEN]\n"},
		{"both halves of a key are", []any{variable("ID", "id:"+value), variable("KEY", "half:"+value)}, "word high suppressed by provider [variable :1 ID] [variable :1 KEY]\n"},
		{"in another variable among others", []any{variable("TOKEN", "secret:"+value), other("ALL", "secret:"+value+" and others")}, "word high suppressed by provider [variable :1 ALL] [variable :1 TOKEN]\n"},
		{"the other way around", []any{other("ALL", "secret:"+value), variable("TOKEN", "secret:"+value)}, "word high suppressed by provider [variable :1 ALL] [variable :1 TOKEN]\n"},
		{"in a variable and a file", []any{other("ALL", "secret:"+value), file("a", "secret:"+value), variable("TOKEN", "secret:"+value)}, "word high [variable :1 ALL] [variable :1 TOKEN] [file a:1 ]\n"},
		{"left in a file too", []any{variable("TOKEN", "secret:"+value), file("a", "secret:"+value)}, "word high [variable :1 TOKEN] [file a:1 ]\n"},
		{"a file says so of itself", []any{file("a", "secret:"+value+" allow")}, "word high [file a:1 ]\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := start(t, one(tt.items...))
			if err != nil {
				t.Fatal(err)
			}
			if got := show(r); got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
			for _, s := range r.Silencers {
				if s.What == "ends with the job" {
					t.Errorf("%+v: nobody asked for silence", s)
				}
			}
		})
	}
}
