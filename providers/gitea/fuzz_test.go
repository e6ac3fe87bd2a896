package gitea

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

// Whatever a server answers and whatever a cursor says, a listing ends, and each thing it yields is an item or an error.
func FuzzListing(f *testing.F) {
	f.Add(200, `<https://gitea.com/x?page=2>; rel="next"`, "orgs/2/9/1", []byte(`[{"id":1,"full_name":"acme/a","name":"A","data":"v","size":-1}]`))
	f.Add(200, "2", "users/9999/1/1", []byte(`{"total_count":9,"name":"acme","login":"acme","runners":[null,{"labels":["a",{"name":"b"}]}]}`))
	f.Add(200, "<;,;rel", "orgs//", []byte(`[null,{"labels":[1]}]`))
	f.Add(403, "", "", []byte(`{"message":"token does not have at least one of required scope(s), required=[read:organization], token scope=read:user"}`))
	f.Add(302, "/elsewhere", "", []byte(`0`))
	f.Add(200, "", "all/1/1/1", []byte(`{"data":[{"id":1,"full_name":"acme/a"},null],"tree":[{"path":".gitea","type":"tree","sha":"0123456789abcdef0123456789abcdef01234567"},null],"content":"b246"}`))
	f.Add(200, "9", "", []byte(`[{"id":1,"title":"t","rule_name":"main","name_pattern":"v*","config":{"url":"https://a/b"},"events":["a,b"],"push_whitelist_usernames":["x"]}]`))
	f.Add(200, "9", "", []byte(`{"workflow_runs":[{"id":3,"name":"a","status":"success","run_number":1},{"id":2,"status":"running"}],"total_count":9,"jobs":[{"id":1,"name":"a","runner_id":1,"status":"completed","steps":[null,{}]}],"artifacts":[{"id":1,"size_in_bytes":-1}]}`))
	f.Add(200, "", "", []byte(`[{"id":9223372036854775807,"number":1,"uuid":"00000000-0000-0000-0000-000000000000","assets":[{"uuid":"00000000-0000-0000-0000-000000000000","size":-1}],"sub_url":"..","title":"x","last_commit":{"sha":"1"},"issue_url":"///"}]`))
	f.Fuzz(func(t *testing.T, status int, link, cursor string, body []byte) {
		if status < 100 || status > 599 || len(body) > 1<<16 {
			t.Skip()
		}
		o := Options{Sources: audit.AllSources &^ (audit.SourceHistory | audit.SourceFiles), MaxWait: 1, sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
		p := New(audit.Env{
			HTTP: &http.Client{Transport: answering(func() *http.Response {
				h := http.Header{"Link": {link}, "Location": {link}, "X-Total-Count": {link}}
				return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewReader(body))}
			})},
			Getenv:    func(k string) string { return map[string]string{"GITEA_TOKEN": token}[k] },
			Log:       slog.New(slog.DiscardHandler),
			UserAgent: "leakreach/test", Calls: &audit.Calls{}, Now: time.Now,
		}, o)
		all := []audit.Target{{Name: "gitea:acme/web", Kind: audit.TargetRepository, Attrs: map[string]string{"owner": "acme", "repo": "web"}}}
		for _, ref := range []string{"acme", "*"} {
			for _, from := range []string{"", cursor} {
				for target, err := range p.TargetsAfter(t.Context(), ref, from) {
					if err == nil {
						all = append(all, target)
					}
				}
			}
		}
		for _, target := range all[:min(len(all), 5)] {
			for _, part := range []audit.Part{audit.PartSettings, audit.PartRuns, audit.PartTexts} {
				target.Part, target.Past = part, cursor
				if target.Kind != audit.TargetRepository && part != audit.PartSettings {
					continue
				}
				for it, err := range p.Items(t.Context(), target) {
					if gap := (*audit.Gap)(nil); err == nil && it.Kind == "" || part == audit.PartSettings && err == nil && it.Entry == nil || errors.As(err, &gap) && (gap.What == "" || gap.Why == "") {
						t.Errorf("%s: %+v, %v", target.Name, it, err)
					}
					if it.Open != nil {
						if in, err := it.Open(t.Context()); err == nil {
							_, _ = io.Copy(io.Discard, in)
							_ = in.Close()
						}
					}
					if it.Origin != nil {
						it.Origin(audit.Location{Line: 1})
					}
				}
			}
		}
	})
}
