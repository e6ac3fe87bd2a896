package gitlab

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// answering is a network on which everybody says the same.
type answering func() *http.Response

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := a()
	resp.Request = r
	return resp, nil
}

// Whatever a server answers, a listing ends, and each thing it yields is an item or an error.
func FuzzListing(f *testing.F) {
	f.Add(200, `<https://gitlab.com/x?id_after=2>; rel="next"`, []byte(`[{"id":1,"full_path":"acme","path_with_namespace":"acme/a","key":"A","value":"v","name":"n"}]`))
	f.Add(200, "2", []byte(`{"id":1,"full_path":"acme"}`))
	f.Add(200, "<;,;rel", []byte(`[null,{}]`))
	f.Add(405, "", []byte(`{"error":"Keyset"}`))
	f.Add(314, "", []byte("0"))
	f.Add(200, "", []byte(`[{"id":1,"iid":1,"title":"t","user_notes_count":1,"source":"trigger","started_at":"2026-01-01T00:00:00Z","finished_at":"2026-01-01T00:00:00Z","artifacts_file":{"filename":"a.zip"},"artifacts":[{"file_type":"dotenv"}],"runner":{"id":1},"files":[{"path":"a"},{"path":"b"}]}]`))
	f.Add(200, "", []byte(`{"data":{"project":{"inheritedCiVariables":{"nodes":[null,{"key":"A"}],"pageInfo":{"hasNextPage":true}},"terraformStates":{"nodes":[{"name":"../x"}]}}},"merged_yaml":"a: {script: b}","includes":[{"extra":{"project":"p"}}],"variables":[null,{"key":"K","value":"v"}]}`))
	f.Add(200, "", []byte("PK\x03\x04\x14\x00\x00\x00\x08\x00"))
	f.Add(302, "http://127.0.0.1:1/x?signature=y", []byte(""))
	f.Fuzz(func(t *testing.T, status int, link string, body []byte) {
		if status < 100 || status > 599 || len(body) > 1<<16 {
			t.Skip()
		}
		o := Options{Sources: audit.AllSources, MaxWait: 1, sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
		p := New(audit.Env{
			HTTP: &http.Client{Transport: answering(func() *http.Response {
				h := http.Header{"Link": {link}, "Location": {link}, "X-Next-Page": {link}, "X-Total": {link}}
				return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewReader(body))}
			})},
			Getenv:    func(k string) string { return map[string]string{"GITLAB_TOKEN": token}[k] },
			Log:       slog.New(slog.DiscardHandler),
			UserAgent: "leakreach/test", Calls: &audit.Calls{}, Now: time.Now,
		}, o)
		all := []audit.Target{{Name: "gitlab:acme/web", Kind: audit.TargetRepository, Attrs: map[string]string{"id": "1", "path": "acme/web", "empty": "true"}}}
		for target, err := range p.Targets(t.Context(), "acme") {
			if err == nil {
				all = append(all, target)
			}
		}
		for _, target := range all[:min(len(all), 5)] {
			for _, part := range []audit.Part{audit.PartSettings, audit.PartRuns, audit.PartTexts} {
				target.Part = part
				for it, err := range p.Items(t.Context(), target) {
					gap := (*audit.Gap)(nil)
					if err == nil && it.Entry == nil && it.Content == nil && it.State == "" || errors.As(err, &gap) && (gap.What == "" || gap.Why == "") {
						t.Errorf("%s: %+v, %v", target.Name, it, err)
					}
					if it.Done != nil {
						it.Done()
					}
				}
			}
		}
	})
}
