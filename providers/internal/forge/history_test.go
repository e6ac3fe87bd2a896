package forge

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// TestHistoryBreaks has a server that ends in the middle of packs, or damages their last byte: once, and every time.
func TestHistoryBreaks(t *testing.T) {
	source := gittest.New(t)
	blob := make([]byte, 1<<20) // that cannot be compressed: the pack comes in many packets, of which half are many, too
	_, _ = rand.NewChaCha8([32]byte{}).Read(blob)
	source.Write("f", string(blob))
	source.Commit("m")
	backend := gittest.Server(t, source.Dir)
	breaks := map[string]func(pack []byte) []byte{
		"cut": func(pack []byte) []byte { return pack[:len(pack)/2] },
		"damaged": func(pack []byte) []byte {
			pack[len(pack)-len("0000")-1] ^= 1
			return pack
		},
	}
	for name, damage := range breaks {
		for _, times := range []int{1, 1000} {
			broken := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answer := httptest.NewRecorder()
				backend.ServeHTTP(answer, r)
				body := answer.Body.Bytes()
				if strings.Contains(string(body), "packfile") && broken < times {
					broken++
					body = damage(body)
				}
				w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
				w.WriteHeader(answer.Code)
				_, _ = w.Write(body)
			}))
			defer s.Close()
			c := Clone{Address: s.URL + "/.git", Commits: "https://example.com/commit/", Sleep: func(context.Context, time.Duration) error { return nil }}
			env := audit.Env{HTTP: s.Client(), Getenv: func(string) string { return "" }, Log: slog.New(slog.DiscardHandler)}
			t.Setenv("TMPDIR", t.TempDir())
			var gaps []string
			messages, places := 0, 0
			for it, err := range History(t.Context(), env, "target", c) {
				if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
					gaps = append(gaps, gap.Target+": "+gap.What+": "+gap.Why)
				} else if err != nil {
					t.Error(err)
				}
				switch it.Kind {
				case audit.KindCommit:
					messages++
					if it.At.URL != c.Commits+it.At.Commit {
						t.Errorf("a commit's page is %q", it.At.URL)
					}
				case audit.KindPlace:
					places++
				}
				if it.Done != nil {
					it.Done()
				}
			}
			if times == 1 && (len(gaps) > 0 || places == 0 || messages < 2 || broken != 1) {
				t.Errorf("%s once: gaps %q, %d places, %d messages", name, gaps, places, messages)
			}
			if times > 1 && (len(gaps) != 1 || !strings.HasPrefix(gaps[0], "target: git history: cloning "+s.URL) || places > 0 || messages == 0 || broken != cloneTries) {
				t.Errorf("%s for ever: gaps %q, %d places, %d messages", name, gaps, places, messages)
			}
			if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		}
	}
}
