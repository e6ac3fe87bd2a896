package expression

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func flows(text string) []string {
	out := []string{}
	for _, e := range In(text) {
		for n := range e.Root.Flows {
			out = append(out, n.Text)
		}
	}
	return out
}

func TestFlows(t *testing.T) {
	for text, want := range map[string]string{
		"a ${{ github.event.issue.title }} b ${{ github.sha }}":                    "github.event.issue.title github.sha",
		"${{ GitHub.Event['Issue'].Title }}":                                       "github.event.issue.title",
		"${{ github.event.commits[0].message }}":                                   "github.event.commits.*.message",
		"${{ github.event.commits.*.message }}":                                    "github.event.commits.*.message",
		"${{ github.event_name == 'push' && github.ref_name || inputs.x }}":        "github.ref_name inputs.x",
		"${{ contains(github.event.issue.title, 'x') }}":                           "",
		"${{ format('{0}', github.head_ref) }}":                                    "github.head_ref",
		"${{ toJSON(github.event) }}":                                              "github.event",
		"${{ fromJSON(steps.a.outputs.b).c }}":                                     "steps.a.outputs.b.c",
		"${{ secrets[matrix.name] }}":                                              "secrets.*",
		"${{ !github.head_ref }}":                                                  "",
		"${{ case(github.head_ref == 'a', inputs.a, inputs.b) }}":                  "inputs.a inputs.b",
		"${{ hashFiles(inputs.a) }}":                                               "",
		"${{ 'github.head_ref' }}":                                                 "",
		"${{ github.head_ref":                                                      "",
		"${{ github. }} ${{ github.actor }}":                                       "github.actor",
		"${{ join(github.event.*.labels, inputs.sep) }}":                           "github.event.*.labels inputs.sep",
		"${{ (github.event.pull_request || github.event.issue).title }}":           "github.event.pull_request.title github.event.issue.title",
		"${{ needs.a.outputs[format('{0}', inputs.b)] }}":                          "needs.a.outputs.*",
		"${{ true }} ${{ 1.5 }} ${{ null }} ${{ 'it''s' }} ${{ github.run_id+1 }}": "",
	} {
		if diff := cmp.Diff(strings.Fields(want), flows(text), cmp.Transformer("", func(s []string) string { return strings.Join(s, " ") })); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestPlaces(t *testing.T) {
	text := "echo ${{ github.actor }} ${{ format('{0}', github.head_ref) }}\n"
	all := In(text)
	if len(all) != 2 || text[all[0].Start:all[0].End] != "${{ github.actor }}" || text[all[1].Start:all[1].End] != "${{ format('{0}', github.head_ref) }}" {
		t.Fatalf("%+v", all)
	}
	for n := range all[1].Root.Flows {
		if !strings.HasPrefix(text[n.Offset:], "github.head_ref") {
			t.Errorf("%q", text[n.Offset:])
		}
	}
}

func TestOf(t *testing.T) {
	for condition, want := range map[string]string{
		"github.actor == 'x'":              "compare",
		" ${{ github.actor == 'x' }} ":     "compare",
		"always() && !cancelled()":         "and",
		"":                                 "",
		"github.actor ==":                  "",
		"'a' || contains('b', github.ref)": "or",
	} {
		got := ""
		if n := Of(condition); n != nil {
			got = string(n.Kind)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", condition, got, want)
		}
	}
	n := Of("secrets[inputs.x] != ''")
	var seen []string
	for part := range n.All {
		seen = append(seen, fmt.Sprint(part.Kind, " ", part.Text))
	}
	if want := []string{"compare !=", "context secrets.*", "context inputs.x", "literal "}; !slices.Equal(seen, want) {
		t.Errorf("%q", seen)
	}
	if !n.Args[0].Under("secrets") || n.Args[0].Under("secret") || !n.Args[0].Is("secrets.x") || n.Args[0].Is("secrets") || n.Is("secrets") {
		t.Error("paths")
	}
}

func FuzzIn(f *testing.F) {
	f.Add("a ${{ github.event['x'].y[0].* && format('{0}', secrets[inputs.a]) }} b ${{ c")
	f.Add(strings.Repeat("${{", 5000))
	f.Add("${{" + strings.Repeat("(", 9000))
	f.Add("${{ a" + strings.Repeat(".b", 9000) + " }}")
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		for _, e := range In(text) {
			if e.Start < last || e.End <= e.Start || e.End > len(text) || !strings.HasPrefix(text[e.Start:], "${{") {
				t.Fatalf("%+v of %q", e, text)
			}
			last = e.End
			for n := range e.Root.Flows {
				if n.Offset < e.Start || n.Offset >= e.End || n.Kind != Context {
					t.Fatalf("%+v of %q", n, text)
				}
			}
			for range e.Root.All {
			}
		}
		Of(text)
	})
}
