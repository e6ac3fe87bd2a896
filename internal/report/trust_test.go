package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/leakreach/leakreach/audit"
)

// trusting is the report of a role that lets in what a forge signs. All that others write is text.
func trusting(text string) *Reach {
	r := reachOf(text)
	r.Identities = append(r.Identities, ReachedIdentity{
		ARN: text, Account: "111122223333", Type: "role", Reached: Reached{Level: audit.LevelWrite, Accounts: []string{"111122223333"}, Paths: []audit.Path{}, Limits: []string{}},
		Trusts: []Trust{{
			Issuer: text, Provider: text, Subjects: []string{text}, Audiences: []string{text}, Claims: []string{text}, Limits: []string{text},
			Problems: []TrustProblem{{ID: "O04", Severity: audit.High, Who: "anyone who may create a repository", Why: text, Subject: text, Evidence: text}},
			Jobs:     []TrustedJob{{Target: text, Job: text, Event: text, Subject: text, Who: "anybody", Guards: []string{text}, Unsure: text}},
		}},
	})
	return r
}

// TestTrusts: what a role lets in is in the text and on the page, cleaned, and in JSON as the schema has it.
func TestTrusts(t *testing.T) {
	const hostile = "a\x1b[31m<b>\u202e\n::error::c"
	for format, wants := range map[string][]string{
		"text": {"lets in  deploy of deploy\n", "O04 high: deploy (anyone who may create a repository)\n", "can be assumed by deploy deploy on deploy: deploy, anybody\n", "perhaps: deploy\n"},
		"html": {"Lets in tokens of deploy", "<strong>O04 high</strong> deploy", "can be assumed by deploy deploy on deploy, anybody; perhaps: deploy"},
	} {
		out := string(reachAs(t, format, trusting("deploy")))
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("%s: there is no %q in\n%s", format, want, out)
			}
		}
		out = string(reachAs(t, format, trusting(hostile)))
		for _, bad := range []string{"\x1b", "\u202e", "\n::error::"} {
			if strings.Contains(out, bad) {
				t.Errorf("%s: %q is in it", format, bad)
			}
		}
		if format == "html" && strings.Contains(out, "<b>") {
			t.Error("a tag of others' is on the page")
		}
	}
	schema, err := jsonschema.NewCompiler().Compile("../../docs/run.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	object, err := jsonschema.UnmarshalJSON(bytes.NewReader(reachAs(t, "json", trusting(hostile))))
	if err == nil {
		err = schema.Validate(object)
	}
	if err != nil {
		t.Error(err)
	}
	nobody := Trust{Issuer: "gitlab.com", Problems: []TrustProblem{{ID: "O11", Who: "nobody"}}}
	if none := nobody.Text(); !strings.Contains(none, "nothing of gitlab.com") {
		t.Errorf("a role that lets nothing in: %q", none)
	}
}
