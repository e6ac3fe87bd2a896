package forge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// tagged serves paths with their tags, and says when they are the same.
func tagged(t *testing.T, tags map[string]string) (*world, *[]string) {
	t.Helper()
	var asked []string
	return forge(t, nil, func(_ int, w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.RequestURI(), "/")
		asked = append(asked, path+r.Header.Get("If-None-Match"))
		tag, ok := tags[path]
		switch {
		case path == "moved":
			w.Header().Set("Location", "/a")
			send(w, 301, "ETag: "+tag, "")
		case !ok:
			send(w, 404, "", "{}")
		case tag == "":
			send(w, 200, "", "{}")
		case r.Header.Get("If-None-Match") == tag:
			send(w, 304, "ETag: "+tag, "")
		default:
			send(w, 200, "ETag: "+tag, "{}")
		}
	}), &asked
}

// list is a listing of some paths, an item each.
func (w *world) list(paths ...string) Listing {
	ask := func(ctx context.Context, path string, header http.Header) (int, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/"+path, nil)
		if err != nil {
			return 0, err
		}
		req.Header = header
		resp, err := w.Do(req)
		if err != nil {
			return 0, Plain(err)
		}
		return resp.StatusCode, resp.Body.Close()
	}
	return Listing{Head: "1", Again: ask, List: func(ctx context.Context) iter.Seq2[audit.Item, error] {
		return func(yield func(audit.Item, error) bool) {
			for _, path := range paths {
				if _, err := ask(ctx, path, http.Header{}); err != nil {
					if !yield(audit.Item{}, Gap("t", path, err)) {
						return
					}
				} else if !yield(audit.Item{Kind: audit.KindVariable}, nil) {
					return
				}
			}
		}
	}}
}

// kinds are those of what is listed, and the state that is named.
func kinds(all iter.Seq2[audit.Item, error]) (kinds, state string) {
	var out []string
	for it, err := range all {
		if err != nil {
			out = append(out, "gap")
			continue
		}
		out = append(out, string(it.Kind))
		state += it.State
	}
	return strings.Join(out, " "), state
}

func TestUnchangedIsNotListed(t *testing.T) {
	tags := map[string]string{"a?page=1": `W/"1"`, "a?page=2": `W/"2"`, "b%2Fc": `"3"`}
	w, asked := tagged(t, tags)
	l := w.list("a?page=1", "a?page=2", "b%2Fc")
	got, state := kinds(l.Items(t.Context()))
	if want := "1\nW/\"1\" a?page=1\nW/\"2\" a?page=2\n\"3\" b%2Fc\n"; got != "variable variable variable state" || state != want {
		t.Fatalf("%s, state %q", got, state)
	}
	*asked = nil
	l.Past = state
	if got, again := kinds(l.Items(t.Context())); got != "unchanged" || again != state {
		t.Errorf("%s, state %q", got, again)
	}
	if want := []string{`a?page=1W/"1"`, `a?page=2W/"2"`, `b%2Fc"3"`}; !slices.Equal(*asked, want) {
		t.Errorf("asked %q", *asked)
	}
	tags["a?page=2"] = `W/"other"`
	got, state = kinds(l.Items(t.Context()))
	if got != "variable variable variable state" || !strings.Contains(state, "other") {
		t.Errorf("after a change: %s, state %q", got, state)
	}
	l.Past, l.Head = state, "2"
	if got, _ = kinds(l.Items(t.Context())); got != "variable variable variable state" {
		t.Errorf("when something else is asked for: %s", got)
	}
}

func TestNoState(t *testing.T) {
	long := map[string]string{}
	var many []string
	for i := range 400 {
		path := fmt.Sprintf("some/rather/long/path/to/be/asked/for/%d", i)
		long[path] = `"1"`
		many = append(many, path)
	}
	for name, test := range map[string]struct {
		tags  map[string]string
		paths []string
	}{
		"nothing asked":      {},
		"an answer missing":  {map[string]string{"a": `"1"`}, []string{"a", "b"}},
		"a tag missing":      {map[string]string{"a": `"1"`, "b": ""}, []string{"b", "a"}},
		"a tag with a blank": {map[string]string{"a": `"1 2"`}, []string{"a"}},
		"a tag without end":  {map[string]string{"a": `"` + strings.Repeat("1", 4096) + `"`}, []string{"a"}},
		"too much":           {long, many},
		"another address":    {map[string]string{"a": `"1"`, "moved": `"2"`}, []string{"moved"}},
	} {
		w, _ := tagged(t, test.tags)
		if got, state := kinds(w.list(test.paths...).Items(t.Context())); state != "" || strings.Contains(got, "state") {
			t.Errorf("%s: %s %q", name, got, state)
		}
	}
	w, _ := tagged(t, map[string]string{"a": `"1"`})
	for it, err := range w.list("a", "a").Items(t.Context()) { // broken off
		if it.State != "" || err != nil {
			t.Error(it.State, err)
		}
		break
	}
}

func TestDoubt(t *testing.T) {
	w, _ := tagged(t, map[string]string{"a": `"1"`})
	sure := w.list("a")
	doubtful := Listing{Head: "1", Again: sure.Again, List: func(ctx context.Context) iter.Seq2[audit.Item, error] {
		Doubt(ctx)
		return sure.List(ctx)
	}}
	if got, state := kinds(doubtful.Items(t.Context())); got != "variable" || state != "" {
		t.Errorf("%s, state %q", got, state)
	}
	sure.Past, sure.Again = "1\n\"1\" a\n", nil // tags that do not last
	if got, state := kinds(sure.Items(t.Context())); got != "variable" || state != "" {
		t.Errorf("%s, state %q", got, state)
	}
	Doubt(t.Context()) // outside of a listing there is none
}

func FuzzState(f *testing.F) {
	f.Add("1\n\"x\" a\n")
	f.Add("1\nW/\"x\" //evil.example/a?b\n\"y\" https://evil.example\n")
	f.Add("1\n\"x\" /a\n\"x\"\n")
	f.Fuzz(func(t *testing.T, past string) {
		l := Listing{Head: "1", Past: past, Again: func(_ context.Context, path string, header http.Header) (int, error) {
			if strings.HasPrefix(path, "/") || strings.Contains(path, "://") && !strings.ContainsAny(path, "?/") || strings.ContainsAny(path+header.Get("If-None-Match"), "\n\r") {
				t.Errorf("asks for %q %q", path, header)
			}
			return http.StatusNotModified, nil
		}}
		if l.unchanged(t.Context()) && !strings.HasPrefix(past, "1\n") {
			t.Error("unchanged under another head")
		}
	})
}

// Each part is one job, with the past of that part; without parts both are one, and neither state is the whole's.
func TestPartsOfATarget(t *testing.T) {
	w, _ := tagged(t, map[string]string{"a": `"1"`})
	settings := w.list("a")
	contents := Section{audit.PartContents, func(_ context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
		return func(yield func(audit.Item, error) bool) {
			if t.Past == "p" {
				yield(audit.Item{Kind: audit.KindUnchanged, State: "p"}, nil)
				return
			}
			_ = yield(audit.Item{Kind: audit.KindFile}, nil) && yield(audit.Item{Kind: audit.KindState, State: "p"}, nil)
		}
	}}
	both := []audit.Part{audit.PartSettings, audit.PartContents}
	for _, test := range []struct {
		target audit.Target
		want   string
	}{
		{audit.Target{Parts: both}, "variable file"},
		{audit.Target{Parts: both, Past: "p"}, "variable file"},
		{audit.Target{Parts: both, Part: audit.PartSettings}, "variable state"},
		{audit.Target{Parts: both, Part: audit.PartSettings, Past: "1\n\"1\" a\n"}, "unchanged"},
		{audit.Target{Parts: both, Part: audit.PartContents}, "file state"},
		{audit.Target{Parts: both, Part: audit.PartContents, Past: "p"}, "unchanged"},
	} {
		if got, _ := kinds(Items(t.Context(), test.target, settings.Section(), contents)); got != test.want {
			t.Errorf("%+v: %s, want %s", test.target, got, test.want)
		}
	}
	none := Listing{List: func(context.Context) iter.Seq2[audit.Item, error] { return func(func(audit.Item, error) bool) {} }}
	if got, _ := kinds(Items(t.Context(), audit.Target{Past: "p"}, none.Section(), contents)); got != "unchanged" {
		t.Errorf("contents alone: %s", got)
	}
	if got, _ := kinds(Items(t.Context(), audit.Target{}, settings.Section())); got != "variable state" {
		t.Errorf("settings alone: %s", got)
	}
	gone := Listing{List: func(context.Context) iter.Seq2[audit.Item, error] {
		return func(yield func(audit.Item, error) bool) { yield(audit.Item{}, errors.New("gone")) }
	}}
	if got, _ := kinds(Items(t.Context(), audit.Target{Parts: both}, gone.Section(), contents)); got != "gap" {
		t.Errorf("after the end: %s", got)
	}
}
