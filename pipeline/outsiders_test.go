package pipeline_test

import (
	"testing"

	"github.com/leakreach/leakreach/pipeline"
)

func TestHosted(t *testing.T) {
	for label, want := range map[string][2]bool{
		"ubuntu-latest": {true, true}, "ubuntu-24.04-arm": {true, true}, "macos-15-xlarge": {true, true}, "windows-2025-vs2026": {true, true}, "ubuntu-slim": {true, true},
		"Ubuntu-Latest": {true, false}, "ubuntu-22.04-16core": {true, false}, "ubuntu-latest-gpu": {true, false}, "saas-linux-small-amd64": {true, false},
		"ubuntu-gpu": {false, false}, "self-hosted": {false, false}, "ubuntu-": {false, false}, "": {false, false},
	} {
		if hosted, exact := pipeline.Hosted(label); hosted != want[0] || exact != want[1] {
			t.Errorf("%q: hosted %t, exact %t; want %v", label, hosted, exact, want)
		}
	}
}
