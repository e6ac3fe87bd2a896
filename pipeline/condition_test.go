package pipeline

import (
	"fmt"
	"strings"
	"testing"
)

// manySources asks for more sources than there are.
var manySources = func() string {
	var b strings.Builder
	for i := range 2 * maxEvents {
		fmt.Fprintf(&b, "$CI_PIPELINE_SOURCE == \"s%d\" || ", i)
	}
	return b.String() + "$CI_COMMIT_TAG"
}()

// What GitLab's documentation says of rules, "only" and the variables that only some pipelines have.
func TestEventsOf(t *testing.T) {
	all := strings.Join(sources, ",")
	for _, c := range []struct{ job, want string }{
		{"script: x", "branches,tags"},
		{"except: [main]", "branches,tags"},
		{"only: [main]", "branches,tags"},
		{"only: [merge_requests, /^v/]", "merge_request_event,branches,tags"},
		{"only: {changes: [a]}", "branches,tags"},
		{"only: {refs: [tags, schedules, web]}", "tags,schedule,web"},
		{"extends: .a", Any},
		{"rules: [{changes: [a]}]", Any},
		{"rules: [{if: $X, when: never}]", ""},
		{"rules: [{if: $X, when: never}, {when: manual}]", Any},
		{`if: $CI_COMMIT_BRANCH`, "branches"},
		{`if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH`, "branches"},
		{`if: $CI_DEFAULT_BRANCH == $CI_COMMIT_BRANCH`, Any},
		{`if: "main" == $CI_COMMIT_BRANCH`, "branches"},
		{`if: $CI_COMMIT_BRANCH != "main"`, Any},
		{`if: $CI_COMMIT_BRANCH == null`, Any},
		{`if: $CI_COMMIT_TAG != null`, "tags"},
		{`if: $CI_COMMIT_TAG == ""`, Any},
		{`if: $CI_COMMIT_TAG != ""`, Any}, // gitlab.com/gitlab-org/gitlab/-/issues/206960
		{`if: $CI_COMMIT_TAG == $RELEASE`, Any},
		{`if: $CI_COMMIT_TAG =~ /^v?/`, Any},
		{`if: $CI_COMMIT_TAG =~ $RELEASE`, Any},
		{`if: $CI_COMMIT_TAG =~ /^v\/[0-9]/ && $CI_PIPELINE_SOURCE == "push"`, "push"},
		{`if: $CI_COMMIT_TAG !~ /x/`, Any},
		{"rules: [{if: $CI_MERGE_REQUEST_IID}, {if: $CI_EXTERNAL_PULL_REQUEST_IID}]", "merge_request_event,external_pull_request_event"},
		{`if: $CI_PIPELINE_SOURCE == "push" || $CI_COMMIT_TAG`, "push,tags"},
		{`if: $X || $CI_COMMIT_TAG`, Any},
		{`if: $CI_COMMIT_TAG || $X`, Any},
		{`if: ($X || $Y) && $CI_PIPELINE_SOURCE == 'web'`, "web"},
		{`if: $CI_COMMIT_BRANCH && ($CI_PIPELINE_SOURCE == 'web' || $CI_PIPELINE_SOURCE == 'merge_request_event')`, "web"},
		{`if: $CI_PIPELINE_SOURCE =~ /^(web|api)$/`, "api,web"},
		{`if: $CI_PIPELINE_SOURCE =~ /(/`, Any},
		{`if: $CI_PIPELINE_SOURCE =~ /^MERGE_/i`, "merge_request_event"},
		{`if: $CI_COMMIT_BRANCH && $CI_PIPELINE_SOURCE == "external_pull_request_event"`, "external_pull_request_event"},
		{"if: " + manySources, Any},
		{"if: $CI_COMMIT_TAG && " + strings.Repeat("(", maxDepth+1) + `$X || $CI_PIPELINE_SOURCE == "merge_request_event"`, Any},
		{`if: $CI_PIPELINE_SOURCE == $X`, Any},
		{`if: $CI_PIPELINE_SOURCE != "push"`, strings.Replace(all, "push,", "", 1)},
		{`if: $CI_PIPELINE_SOURCE !~ /^[^w]/`, "web,webide"},
		{"rules: [[{if: $CI_COMMIT_TAG}], [[{if: $CI_COMMIT_BRANCH}]]]", "tags,branches"},
		{"rules: [!reference [.a, rules]]", Any},
		{`if: $X == "broken`, Any},
		{"if: " + strings.Repeat("(", 1000) + "$CI_COMMIT_TAG", Any},
		{`if: $CI_COMMIT_TAG)`, Any},
	} {
		if condition, ok := strings.CutPrefix(c.job, "if: "); ok {
			c.job = "rules: [{if: '" + strings.ReplaceAll(condition, "'", "''") + "'}]"
		}
		d := Parse(GitLab, ".gitlab-ci.yml", []byte("job:\n  "+c.job+"\n"))
		if len(d.Jobs) == 0 {
			t.Fatal(c.job, d.Gaps)
		}
		if got := eventNames(d.Jobs[0].Events); got != c.want {
			t.Errorf("%s: %s, want %s (gaps %v)", c.job, got, c.want, d.Gaps)
		}
	}
}

// Rules of the workflow hold for all jobs.
func TestEventsOfWorkflow(t *testing.T) {
	d := Parse(GitLab, ".gitlab-ci.yml", []byte(`
workflow: {rules: [{if: $CI_PIPELINE_SOURCE == "merge_request_event"}, {if: $CI_COMMIT_BRANCH}]}
bare: {script: x}
pushed: {rules: [{if: $CI_PIPELINE_SOURCE == "push"}]}
tag: {rules: [{if: $CI_COMMIT_TAG}]}
any: {rules: [{when: manual}]}
except: {except: [main]}
`))
	for i, want := range []string{"merge_request_event,branches", "push", "tags", "merge_request_event,branches", "merge_request_event,branches"} {
		if got := eventNames(d.Jobs[i].Events); got != want {
			t.Errorf("%s: %s, want %s", d.Jobs[i].ID, got, want)
		}
	}
	if got := eventNames(d.Events); got != "merge_request_event,branches,push,tags" {
		t.Errorf("the definition: %s", got)
	}
}

func eventNames(events []Event) string {
	var names []string
	for _, e := range events {
		names = append(names, e.Name)
	}
	return strings.Join(names, ",")
}
