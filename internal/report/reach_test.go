package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/graph"
)

// reachOf is the report of a key that a job of anybody's is handed: it opens one account by two ways, and perhaps another. All that others write is text.
func reachOf(text string) *Reach {
	g := &graph.Graph{}
	const user, role, other = "arn:aws:iam::111122223333:user/", "arn:aws:iam::111122223333:role/", "444455556666"
	job := g.Node(graph.Node{ID: "job:" + text, Kind: graph.Job, Name: text, In: text})
	named := g.Node(graph.Node{ID: graph.NamedID("github:acme/web", text), Kind: graph.Secret, Name: text, In: "github:acme/web"})
	key := g.Node(graph.Node{ID: "lr1:0123456789abcdef", Kind: graph.Secret, Name: text, Fix: "rotate " + text, Facts: map[string]string{"reason": text}})
	who := g.Node(graph.Node{ID: user + text, Kind: graph.Identity, Name: text, In: "111122223333"})
	runner := g.Node(graph.Node{ID: role + text, Kind: graph.Identity, Name: text, In: "111122223333"})
	admin := g.Node(graph.Node{ID: graph.RightsID("111122223333", "admin"), Kind: graph.Rights, Name: "admin in prod", In: "111122223333", Level: "admin", Facts: map[string]string{"account_name": text}})
	perhaps := g.Node(graph.Node{ID: graph.RightsID(other, "write"), Kind: graph.Rights, Name: "write in " + other, In: other, Level: "write"})
	for _, e := range []graph.Edge{
		{From: g.Anybody(), To: job, Kind: graph.Starts, Evidence: text, Close: text},
		{From: job, To: named, Kind: graph.Holds, Evidence: text, Fix: text},
		{From: named, To: key, Kind: graph.IsIn, Evidence: text},
		{From: key, To: who, Kind: graph.ActsAs, Evidence: text},
		{From: who, To: runner, Kind: graph.Passes, Way: "lambda-001", Evidence: text, Fix: "narrow " + text},
		{From: who, To: admin, Kind: graph.EditSelf, At: text, Way: "iam-007", Evidence: text, Fix: "narrow also " + text},
		{From: runner, To: admin, Kind: graph.May, Evidence: text},
		{From: runner, To: perhaps, Kind: graph.May, Evidence: text, Unsure: text},
	} {
		g.Edge(e)
	}
	ways, paths := NewWays(g.Explain(key))
	reader := &graph.ReaderJob{
		Target: text, Name: text, Path: text, Calls: []graph.ReaderCall{{Job: text, Path: text}}, Events: []graph.ReaderEvent{{Name: text, Filters: []string{text}, Outsiders: "yes", Note: text}},
		Conditions: []string{text}, Environment: &graph.ReaderEnvironment{Name: text, Exists: "yes", Gates: []string{text}, Holes: []string{text}}, Unknown: []string{text},
		Runner:     graph.ReaderRunner{Labels: []string{text}, Hosted: "no", Runners: []string{text}, Holes: []string{text}},
		Components: []graph.Beside{{Kind: "action", Name: text, Ref: text, Pin: "name", Mutable: true, Through: []string{text}, Advisories: []string{text}}},
		LastRun:    &graph.LastRun{Of: "job", At: text, Event: text, Conclusion: text},
	}
	return &Reach{
		Readers: []*graph.Readers{{
			Writers: []graph.Writers{{Target: text, Role: "write", People: 2, More: true, Names: []string{text}}}, Teams: map[string][]string{text: {text}},
			Target: text, Kind: audit.KindSecret, Scope: text, Name: text, Listed: true, Facts: map[string]string{"visibility": text + "."}, People: []string{text}, Approve: []string{text}, Used: "yes",
			Outsider: "yes", Hides: []string{text}, HiddenBy: []string{text}, OIDC: "aws", Limits: []string{text}, Fix: &graph.Removal{What: text, Removes: 1}, Holders: 2,
			Jobs: []graph.Reader{{ReaderJob: reader, Certainty: "possible", Why: text, Named: true, Takes: []graph.Taking{{As: text, In: text}}}},
		}},
		Components: []graph.Loss{{
			Component: text, Kind: "action", Mutable: true, Refs: []graph.LossRef{{Ref: text, Pin: "name"}}, Advisories: []string{text}, Credentials: []string{text}, Pinned: []string{text},
		}},
		Schema: audit.Schema, Run: audit.RunInfo{Version: text, Refs: []string{text}, Verify: "off"}, Graph: g,
		Coverage: []audit.Coverage{}, Findings: []audit.Finding{}, Identities: []ReachedIdentity{}, Inventory: []audit.Entry{}, Silencers: []audit.Silencer{}, Calls: map[string]int{},
		Gaps:    []audit.Gap{{Target: text, What: text, Why: text}},
		Secrets: []ReachedSecret{{ID: key.ID, Name: text, Identity: who.ID, Reached: Reached{audit.LevelEscalation, []string{"111122223333"}, paths, []string{text}, ways}}},
	}
}

func reachAs(t testing.TB, format string, r *Reach) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteReach(&b, format, r, Options{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReachText(t *testing.T) {
	text := string(reachAs(t, "text", reachOf("deploy")))
	for _, want := range []string{
		"escalation  deploy  lr1:0123456789abcdef\n",
		"opens  admin in deploy (111122223333): 2 ways\n",
		"opens  perhaps write in 444455556666: 1 way\n",
		"from  anybody\n",
		"starts deploy\n",
		"way 1 of 2  escalation\n",
		"way 2 of 2  escalation in deploy (111122223333)\n",
		"edits-self deploy\n              by iam-007: deploy\n",
		"passes arn:aws:iam::111122223333:role/deploy\n              by lambda-001: deploy\n",
		"possible  write in 444455556666\n",
		"(perhaps: deploy)\n",
		"fix  rotate deploy: removes 2 of 2 ways to admin\n",
		"fix  these 2 together leave no way to admin: narrow also deploy; narrow deploy\n",
		"1 secrets, 0 identities: 1 escalation\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
}

func TestReachSchemas(t *testing.T) {
	for format, path := range map[string]string{"json": "../../docs/run.schema.json", "opengraph": "testdata/schemas/opengraph.json"} {
		schema, err := jsonschema.NewCompiler().Compile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"deploy", "\x00\"\\\n<é>\u202e"} {
			object, err := jsonschema.UnmarshalJSON(bytes.NewReader(reachAs(t, format, reachOf(text))))
			if err == nil {
				err = schema.Validate(object)
			}
			if err != nil {
				t.Errorf("%s of %q: %v", format, text, err)
			}
		}
	}
}

// TestReachOpenGraph: each edge joins two nodes that are there, and is of one kind.
func TestReachOpenGraph(t *testing.T) {
	var out struct {
		Graph struct {
			Nodes []struct {
				ID    string
				Kinds []string
			}
			Edges []struct {
				Kind       string
				Start, End struct{ Value string }
				Properties map[string]string
			}
		}
	}
	if err := json.Unmarshal(reachAs(t, "opengraph", reachOf("deploy")), &out); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, n := range out.Graph.Nodes {
		kinds[n.ID] = n.Kinds[0]
	}
	var edges []string
	for _, e := range out.Graph.Edges {
		edges = append(edges, fmt.Sprint(kinds[e.Start.Value], " ", e.Kind, " ", kinds[e.End.Value], " ", e.Properties["lr_certain"]))
	}
	want := []string{
		"LR_Outsider LR_Starts LR_Job true", "LR_Job LR_Holds LR_Secret true", "LR_Secret LR_IsIn LR_Secret true", "LR_Secret LR_ActsAs LR_Identity true",
		"LR_Identity LR_Passes LR_Identity true", "LR_Identity LR_EditsSelf LR_Rights true", "LR_Identity LR_May LR_Rights true", "LR_Identity LR_May LR_Rights false",
	}
	if got := strings.Join(edges, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("edges\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// TestReachPage: the page asks nobody for anything, and its policy forbids it to.
func TestReachPage(t *testing.T) {
	page := string(reachAs(t, "html", reachOf("deploy")))
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(page)
	if style == nil {
		t.Fatal("no style")
	}
	hash := sha256.Sum256([]byte(style[1]))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
	if !strings.Contains(strings.ReplaceAll(strings.ReplaceAll(page, "&#39;", "'"), "&#43;", "+"), policy) {
		t.Errorf("the policy does not allow the style that is there: %s", page[:600])
	}
	if found := regexp.MustCompile(`(?i)<script|<link|<img|<iframe|\ssrc=|\shref=|\son[a-z]+=|url\(|@import`).FindString(page); found != "" {
		t.Errorf("the page has %q", found)
	}
}

// dotTokens is all that a drawing has outside of its strings.
var dotTokens = regexp.MustCompile(`^(digraph reach|rankdir=LR|node|edge|n\d+|->|shape=(box|note|ellipse|hexagon|component|cds|doubleoctagon|diamond)?|label=|tooltip=|style=(solid|dashed)|fontname=|fontsize=10|[\[\]{};\s])+$`)

// FuzzReach: whatever others call their things, no format breaks, and no text becomes anything but text.
func FuzzReach(f *testing.F) {
	for _, text := range []string{"deploy", `"];evil[label="`, `\`, `\"`, "<script>alert(1)</script>", "' onmouseover='x", "</style><b>", "\x1b[2J\u202e\x00\xff", "::error::x\n::set-output", "{{.}}", "", "-->"} {
		f.Add(text)
	}
	quiet := reachAs(f, "html", reachOf("x"))
	f.Fuzz(func(t *testing.T, text string) {
		r := reachOf(text)
		for _, format := range ReachFormats {
			for _, line := range strings.Split(string(reachAs(t, format.Name, r)), "\n") {
				if c := strings.IndexFunc(line, hidden); c >= 0 {
					t.Errorf("%s has %q", format.Name, line)
				}
				if strings.HasPrefix(strings.TrimSpace(line), "::") {
					t.Errorf("%s has a command: %q", format.Name, line)
				}
			}
		}
		var outside strings.Builder
		quoted, dot := false, reachAs(t, "dot", r)
		for k := 0; k < len(dot); k++ {
			switch {
			case quoted && dot[k] == '\\':
				k++
			case dot[k] == '"':
				quoted = !quoted
			case !quoted:
				outside.WriteByte(dot[k])
			}
		}
		if quoted || !dotTokens.MatchString(outside.String()) {
			t.Errorf("a string of the drawing has ended early: %q", outside.String())
		}
		page := reachAs(t, "html", r)
		if text != "" && bytes.Count(page, []byte("<")) != bytes.Count(quiet, []byte("<")) {
			t.Errorf("the page has other elements than one with plain names: %s", page)
		}
	})
}
