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
	f.Fuzz(func(t *testing.T, status int, link, cursor string, body []byte) {
		if status < 100 || status > 599 || len(body) > 1<<16 {
			t.Skip()
		}
		o := Options{Sources: audit.SourceVariables | audit.SourceSecrets | audit.SourceRunners, MaxWait: 1, sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
		p := New(audit.Env{
			HTTP: &http.Client{Transport: answering(func() *http.Response {
				h := http.Header{"Link": {link}, "Location": {link}, "X-Total-Count": {link}}
				return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewReader(body))}
			})},
			Getenv:    func(k string) string { return map[string]string{"GITEA_TOKEN": token}[k] },
			Log:       slog.New(slog.DiscardHandler),
			UserAgent: "leakreach/test", Calls: &audit.Calls{}, Now: time.Now,
		}, o)
		all := []audit.Target{{Name: "gitea:acme/web", Kind: audit.TargetRepository, Attrs: map[string]string{"owner": "acme", "repo": "web"}, Part: audit.PartSettings}}
		for _, from := range []string{"", cursor} {
			for target, err := range p.TargetsAfter(t.Context(), "acme", from) {
				if err == nil {
					all = append(all, target)
				}
			}
		}
		for _, target := range all[:min(len(all), 5)] {
			if target.Kind == audit.TargetRepository {
				target.Part = audit.PartSettings
			}
			for it, err := range p.Items(t.Context(), target) {
				if gap := (*audit.Gap)(nil); err == nil && it.Entry == nil || errors.As(err, &gap) && (gap.What == "" || gap.Why == "") {
					t.Errorf("%s: %+v, %v", target.Name, it, err)
				}
			}
		}
	})
}
