package github

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
	"github.com/leakreach/leakreach/providers/internal/forge"
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
	f.Add(200, `<https://api.github.com/x?page=2>; rel="next"`, []byte(`[{"id":1,"full_name":"acme/a"}]`))
	f.Add(200, "", []byte(`{"total_count":9,"variables":[{"name":"A"}],"secrets":[null,{}],"runners":[{}],"environments":[{"name":"x","protection_rules":[1]}]}`))
	f.Add(200, "", []byte(`{"total_count":1,"runner_groups":[{"id":1,"visibility":"selected"}],"repositories":[{"full_name":"a,b"},null],"installations":[{"permissions":{"a":"b"}}],
		"allowed_actions":"selected","patterns_allowed":[1,"x"],"enabled":3,"actions_caches":[{}],"branch_policies":[{}],"custom_deployment_protection_rules":[null]}`))
	f.Add(200, "", []byte(`[{"id":1,"config":{"url":"%","insecure_ssl":[]},"key":"a b","last_used":{},"bypass_actors":[{}],"rules":[{"parameters":1}],"name":".."}]`))
	f.Add(200, "", []byte(`{"tree":[{"path":".github","type":"tree"},{"path":"workflows","type":"tree"},{"path":"a.yml","type":"blob"}],"content":"b246IHB1c2gK"}`))
	f.Add(200, "", []byte(`{"data":{"nodes":[{"id":"R_1","rulesets":{"nodes":[{"rules":{"nodes":[{}]}}]},"branchProtectionRules":{"nodes":[{}]},"workflows":{"entries":[null,{"name":"a.yml","type":"blob","object":{}}]}}]},"errors":[{"path":["nodes",-1e9]}]}`))
	f.Add(302, "/elsewhere", []byte(``))
	f.Add(403, "", []byte(`{"message":"rate limit"}`))
	f.Fuzz(func(t *testing.T, status int, link string, body []byte) {
		if status < 100 || status > 599 || len(body) > 1<<16 {
			t.Skip()
		}
		o := Options{Sources: forge.Settings, MaxWait: 1, sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
		p := New(audit.Env{
			HTTP: &http.Client{Transport: answering(func() *http.Response {
				h := http.Header{"Link": {link}, "Location": {link}, "X-Next-Page": {link}, "X-Total": {link}}
				return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewReader(body))}
			})},
			Getenv:    func(k string) string { return map[string]string{"GH_TOKEN": token}[k] },
			Log:       slog.New(slog.DiscardHandler),
			UserAgent: "leakreach/test", Calls: &audit.Calls{}, Now: time.Now,
		}, o)
		all := []audit.Target{{Name: "github:acme/web", Kind: audit.TargetRepository, Attrs: map[string]string{"owner": "acme", "repo": "web", "node": "R_1", "batch": "R_1 R_2"}}}
		for target, err := range p.Targets(t.Context(), "acme") {
			if err == nil {
				all = append(all, target)
			}
		}
		for _, target := range all[:min(len(all), 5)] {
			for it, err := range p.Items(t.Context(), target) {
				if gap := (*audit.Gap)(nil); err == nil && it.Entry == nil || errors.As(err, &gap) && (gap.What == "" || gap.Why == "") {
					t.Errorf("%s: %+v, %v", target.Name, it, err)
				}
			}
		}
	})
}
