package audit

import "testing"

func TestSources(t *testing.T) {
	for text, want := range map[string]string{
		"":                "history,files,workflows,variables,secrets,settings,runners",
		"all":             AllSources.String(),
		"logs, variables": "variables,logs",
		"packages":        "packages",
	} {
		if s, err := ParseSources(text); err != nil || s.String() != want {
			t.Errorf("%q = %s, %v; want %s", text, s, err, want)
		}
	}
	if n := len(AllSources.Names()); n != 15 {
		t.Errorf("%d sources, want 15", n)
	}
	if _, err := ParseSources("logs,"); err == nil {
		t.Error("a list with an empty source is read")
	}
}
