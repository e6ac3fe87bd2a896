package engine_test

import (
	"context"
	"iter"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/engine"
	"github.com/leakreach/leakreach/internal/store"
	"github.com/leakreach/leakreach/internal/store/storetest"
)

// applications finds "app:VALUE[,APPLICATION,TENANT]".
type applications struct{ words }

func (applications) Scan(_ audit.Item, content []byte) (out []audit.Finding, gaps []audit.Gap) {
	for word := range strings.FieldsSeq(string(content)) {
		value, ids, whole := strings.Cut(strings.TrimPrefix(word, "app:"), ",")
		s := audit.NewSecret(audit.KindAzureSecret, "", value)
		if whole {
			id, tenant, _ := strings.Cut(ids, ",")
			s = audit.NewSecret(audit.KindAzureSecret, id, value)
			s.SetPart(audit.PartTenant, tenant)
		}
		out = append(out, audit.Finding{Rule: "word", Severity: audit.High, Secret: s, Locations: []audit.Location{{Line: 1, Rules: []string{"word"}}}})
	}
	return out, nil
}

// entra knows a secret by the application and the tenant beside it.
type entra struct{ asked chan struct{} }

func (entra) Kinds() []string { return []string{audit.KindAzureSecret} }
func (e entra) Verify(_ context.Context, s *audit.Secret) (audit.Verdict, error) {
	select {
	case e.asked <- struct{}{}:
	default:
	}
	if !s.HasValue() || s.ID != "app" || s.RevealPart(audit.PartTenant) != "tenant" {
		return audit.Verdict{Validity: audit.Unchecked, How: "live"}, nil
	}
	return audit.Verdict{Validity: audit.Active, How: "live"}, nil
}

// behind lists the contents of one target when those of another were scanned, and for a while waits for somebody to be asked about what was found in them.
type behind struct {
	*forge
	last  string
	first chan struct{}
	asked chan struct{}
	once  *sync.Once
}

func (b behind) Items(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	if t.Part != audit.PartContents {
		return b.forge.Items(ctx, t)
	}
	if t.Name == b.last {
		<-b.first
		select {
		case <-b.asked:
		case <-time.After(300 * time.Millisecond): // a shorter time shows less
		}
		return b.forge.Items(ctx, t)
	}
	return func(yield func(audit.Item, error) bool) {
		b.forge.Items(ctx, t)(yield)
		b.once.Do(func() { close(b.first) })
	}
}

// Somebody is asked about a secret with what stands beside it at any of its places, in whatever order these are scanned, by whatever store, and whether or not they
// were scanned by an earlier run.
func TestAskedWithTheBestOfAllPlaces(t *testing.T) {
	for name, address := range map[string]func(*testing.T) string{
		"memory":     func(*testing.T) string { return "" },
		"file":       func(t *testing.T) string { return filepath.Join(t.TempDir(), "store.db") },
		"postgresql": func(t *testing.T) string { return storetest.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			kept, err := store.Open(t.Context(), address(t), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = kept.Close() })
			for _, last := range []string{"fake:x/with", "fake:x/bare"} {
				f := &forge{repositories: []string{"fake:x/bare", "fake:x/with"}, states: map[string]string{}, parts: map[string][]any{
					"fake:x/bare contents": {file("a", "app:"+last)}, "fake:x/with contents": {file("b", "app:"+last+",app,tenant")},
				}}
				sweep := func(what string, changed ...string) {
					t.Helper()
					f.states["fake:x/bare contents"], f.states["fake:x/with contents"] = last, last
					for _, name := range changed {
						f.states[name+" contents"] = last + what
					}
					asked := make(chan struct{}, 1)
					p := behind{f, last, make(chan struct{}), asked, &sync.Once{}}
					r, err := start(t, world{}, func(e *engine.Engine, ref *engine.Ref) {
						e.Store, e.Rules, e.Verify, e.Scanners, e.Verifiers, ref.Provider = kept, "rules", "live", []audit.Scanner{applications{}}, []audit.Verifier{entra{asked}}, p
					})
					if err != nil || len(r.Findings) != 1 || r.Findings[0].Secret.ID != "app" || r.Findings[0].Verdict.Validity != audit.Active {
						t.Errorf("%s, %s last: %v, %d findings", what, last, err, len(r.Findings))
					}
				}
				sweep("new")
				sweep("as it was")
				sweep("the bare one changed", "fake:x/bare")
				sweep("the other one changed", "fake:x/with")
			}
		})
	}
}

// namesApplications finds an application's id in every variable.
type namesApplications struct{ words }

func (namesApplications) Scan(audit.Item, []byte) ([]audit.Finding, []audit.Gap) {
	return []audit.Finding{{Rule: "word", Candidate: true, Secret: audit.NewSecret(audit.KindAzureSecret, "app", ""), Locations: []audit.Location{{Line: 1}}}}, nil
}

func (namesApplications) Join(fs []audit.Finding) []audit.Finding { return fs }

// Whose a secret is, is no half of a credential that others would be read again for, and nothing to report.
func TestWhoseIsNoHalf(t *testing.T) {
	kept := inMemory(t)
	f := &forge{repositories: []string{"fake:x/a", "fake:x/b"}, parts: map[string][]any{
		"fake:x/a settings": {variable("ID", "app")}, "fake:x/b settings": {variable("VALUE", "half:"+strings.Repeat("0123456789", 4))},
	}}
	r, err := start(t, world{}, func(e *engine.Engine, ref *engine.Ref) {
		e.Store, e.Scanners, ref.Provider = kept, []audit.Scanner{namesApplications{}}, f
	})
	if err != nil || len(r.Findings) != 0 {
		t.Fatal(err, r)
	}
	if rows, err := kept.WithHalves(t.Context(), r.Info.ID, ""); err != nil || len(rows) != 0 {
		t.Error(err, rows)
	}
}
