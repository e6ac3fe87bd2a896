package local

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

func TestSmoke(t *testing.T) {
	ref := os.Getenv("SMOKE")
	if ref == "" {
		t.Skip()
	}
	p := New(audit.Env{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}, Options{})
	for at, err := range p.Targets(t.Context(), ref) {
		fmt.Println("TARGET", at, err)
		if err != nil {
			continue
		}
		n := map[string]int{}
		for it, err := range p.Items(t.Context(), at) {
			var g *audit.Gap
			if errors.As(err, &g) {
				fmt.Println("GAP", g)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			n[string(it.Kind)]++
			n["bytes"] += len(it.Content)
			if it.Done != nil {
				it.Done()
			}
			if os.Getenv("V") != "" {
				fmt.Printf("%s %q %s %s %v\n", it.Kind, it.At.Path, it.At.Name, it.At.Ref, it.At.InHead)
			}
		}
		fmt.Println(n)
	}
}
