package main

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the generated pages anew")

// TestRulePage holds docs/rules.md to the rules of the program.
func TestRulePage(t *testing.T) {
	const page = "../../docs/rules.md"
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"rules", "--format", "markdown"}, testWorld(&stdout, &stderr, t.TempDir())); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
	if *update {
		if err := os.WriteFile(page, stdout.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, stdout.Bytes()) {
		t.Errorf("%s is not what the program prints; write it anew: go test ./cmd/leakreach -run TestRulePage -update", page)
	}
}
