package report

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// fixtures are runs as the engine hands them over: sorted and redacted. Values are made at run time, the same each time.
func fixtures() map[string]fixture {
	return map[string]fixture{
		"none": {none(), 0}, "gaps": {gaps(), 5}, "admin": {admin(), 10}, "history": {history(), 10},
		"many": {many(3000), 10}, "since": {later(), 10}, "hostile": {hostile(), 10},
	}
}

// value is a made-up secret of n characters.
func value(n int, seed uint64) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	r := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

func signed(f audit.Finding) audit.Finding {
	key := audit.KeyFrom([]byte("fixtures"))
	if f.Secret != nil {
		f.ID = "lr1:" + key.Digest("finding", key.Sign(f.Secret))
	} else {
		f.ID = "lr1:" + key.Digest("finding", f.Rule, f.Locations[0].Target, f.Locations[0].Name)
	}
	return f
}

func none() *audit.Run {
	run := envelope(".")
	run.Coverage = []audit.Coverage{{Target: ".", Kind: audit.TargetRepository, Status: audit.Scanned, Items: 18204, Bytes: 104857600}}
	return run
}

func gaps() *audit.Run {
	run := envelope("github:acme")
	run.Info.Complete = false
	run.Coverage = []audit.Coverage{
		{Target: "github:acme", Kind: audit.TargetOrganisation, Status: audit.Scanned, Items: 3, Bytes: 512},
		{Target: "github:acme/old", Kind: audit.TargetRepository, Status: audit.Failed, Reason: "cloning: 403 Forbidden"},
		{Target: "github:acme/web", Kind: audit.TargetRepository, Status: audit.Partial, Items: 812, Bytes: 5 << 20, LeftOut: "logs,artifacts"},
	}
	for i := range 40 {
		run.Gaps = append(run.Gaps, audit.Gap{
			Target: "github:acme/web", What: fmt.Sprintf("run logs of %d", 9003+i), Why: "410 Gone: logs expired",
		})
	}
	run.Gaps = append(run.Gaps, audit.Gap{Target: "github:acme/web", What: "secrets", Why: "403 Forbidden: token lacks Secrets (read)"})
	run.Silencers = []audit.Silencer{{Target: "github:acme/web", What: "gitleaks:allow", Count: 3}}
	run.Calls = map[string]int{"github": 174}
	return run
}

func admin() *audit.Run {
	run := envelope(".")
	run.Info.Complete = false
	run.Info.Verify = "live"
	run.Coverage = []audit.Coverage{{Target: ".", Kind: audit.TargetRepository, Status: audit.Partial, Items: 18204, Bytes: 104857600}}
	run.Gaps = []audit.Gap{{Target: ".", What: "history beyond 5be1c0d", Why: "shallow clone: run git fetch --unshallow"}}
	first := "5be1c0d2f6a94b3e8d7c1a0f9e8d7c6b5a493827"
	key := audit.NewSecret(audit.KindAWSKey, "AKIA"+"IOSFODNN7EXAMPLE", value(40, 1))
	identity := audit.Identity{ARN: "arn:aws:iam::111122223333:user/ci-deploy", Account: "111122223333", Type: "user"}
	leaked := signed(audit.Finding{
		Rule: "aws-access-key", Category: audit.CategorySecret, Severity: audit.Critical,
		Title: "live AWS key reaches administrator", Message: "An AWS access key with its secret.",
		Secret: key,
		Locations: []audit.Location{
			{
				Target: ".", Kind: audit.InFile, Path: "deploy/env", Line: 3, EndLine: 4, Column: 19, EndColumn: 59, Commit: first,
				InHead: true, Introduced: true, At: at("2026-03-19T18:32:11Z"), Rules: []string{"aws-access-token"},
			},
			{Target: ".", Kind: audit.InFile, Path: "deploy/old settings/ünïcode.env", Line: 9, Column: 1, InHead: true},
			{Target: ".", Kind: audit.InVariable, Name: "AWS_ACCESS_KEY_ID", URL: "https://github.com/acme/web/settings/variables/actions"},
			{Target: ".", Kind: audit.InCommit, Path: "build/app.jar!config.xml", Line: 12, Commit: "9f2c41aa", Encoding: []string{"base64", "utf-16"}, At: at("2026-04-01T10:00:00Z")},
			{Target: ".", Kind: audit.InCommit, Name: "message", Commit: "77a0d3bb", At: at("2026-04-02T10:00:00Z")},
			{Target: ".", Kind: audit.InCommit, Path: "a", Line: 1, Commit: "77a0d3cc"},
		},
		Verdict: &audit.Verdict{
			Validity: audit.Active, How: "live", CheckedAt: at("2026-11-23T14:02:40Z"), Identity: &identity,
			Facts: map[string]string{"key_created": "2024-09-02T08:00:00Z", "key_last_used": "2026-11-23T09:00:00Z", "account_name": "prod"},
		},
		Reach: &audit.Reach{
			Level: audit.LevelAdmin, Accounts: []string{"111122223333", "444455556666"},
			Paths: []audit.Path{{Level: audit.LevelAdmin, Steps: []audit.Step{
				{From: "AKIA" + "IOSFODNN7EXAMPLE", To: identity.ARN, Edge: "is", Evidence: "sts:GetCallerIdentity"},
				{From: identity.ARN, To: "arn:aws:iam::444455556666:role/OrgAdmin", Edge: "assumes", Evidence: "trust policy names the user"},
				{From: "arn:aws:iam::444455556666:role/OrgAdmin", To: "iam:*", Edge: "may", Evidence: "simulated, allowed"},
			}}},
			Limits: []string{"SCPs of account 444455556666 not readable: the result there is an upper bound"},
		},
	})
	readOnly := signed(audit.Finding{
		Rule: "aws-access-key", Category: audit.CategorySecret, Severity: audit.Medium, Title: "live AWS key, read only",
		Secret:    audit.NewSecret(audit.KindAWSKey, "AKIA"+"I44QH8DHBEXAMPLE", value(40, 2)),
		Locations: []audit.Location{{Target: ".", Kind: audit.InFile, Path: "deploy/legacy.env", Line: 3, InHead: true}},
		Verdict:   &audit.Verdict{Validity: audit.Active, How: "live", CheckedAt: at("2026-11-23T14:02:41Z")},
		Reach:     &audit.Reach{Level: audit.LevelRead, Accounts: []string{"111122223333"}, Paths: []audit.Path{}, Limits: []string{}},
	})
	token := signed(audit.Finding{
		Rule: "github-pat", Category: audit.CategorySecret, Severity: audit.High, Title: "GitHub personal access token",
		Secret:    audit.NewSecret("github-pat", "", "ghp_"+value(36, 3)),
		Locations: []audit.Location{{Target: ".", Kind: audit.InFile, Path: strings.Repeat("services/", 14) + "config.yml", Line: 120, InHead: true}},
		Verdict:   &audit.Verdict{Validity: audit.Unknown, How: "live", CheckedAt: at("2026-11-23T14:02:41Z"), Error: "asking api.github.com: dial tcp: i/o timeout"},
		Fix:       []string{"revoke the token"},
	})
	runner := signed(audit.Finding{
		Rule: "runner-group-open", Category: audit.CategoryRunner, Severity: audit.Medium, Title: "self-hosted runner takes fork pull requests",
		Locations: []audit.Location{{Target: ".", Kind: audit.InRunner, Name: "group default"}},
	})
	quiet := signed(audit.Finding{
		Rule: "generic-api-key", Category: audit.CategorySecret, Severity: audit.Medium, Title: "something that looks like a key",
		Secret:     audit.NewSecret("generic-api-key", "", value(32, 4)),
		Locations:  []audit.Location{{Target: ".", Kind: audit.InFile, Path: "test/fixture.txt", Line: 1, InHead: true}},
		Suppressed: &audit.Suppression{By: "comment", Reason: "gitleaks:allow"},
	})
	run.Findings = []audit.Finding{leaked, token, readOnly, runner, quiet}
	for i := range run.Findings {
		if run.Findings[i].Fix == nil {
			run.Findings[i].Fix = []string{}
		}
	}
	run.Identities = []audit.Identity{{ARN: identity.ARN, Account: identity.Account, Type: "user", Level: audit.LevelAdmin}}
	run.Inventory = []audit.Entry{{Target: ".", Kind: audit.KindVariable, Name: "AWS_ACCESS_KEY_ID", Scope: "repository"}}
	run.Silencers = []audit.Silencer{{Target: ".", What: "gitleaks:allow", Count: 1, Obeyed: true}}
	run.Calls = map[string]int{"sts": 2, "iam": 38}
	return run
}

func history() *audit.Run {
	run := envelope(".")
	run.Coverage = []audit.Coverage{{Target: ".", Kind: audit.TargetRepository, Status: audit.Scanned, Items: 91, Bytes: 70312}}
	run.Findings = []audit.Finding{signed(audit.Finding{
		Rule: "github-pat", Category: audit.CategorySecret, Severity: audit.High, Title: "GitHub personal access token", Fix: []string{},
		Secret: audit.NewSecret("github-pat", "", "ghp_"+value(36, 5)),
		Locations: []audit.Location{
			{
				Target: ".", Kind: audit.InCommit, Path: "config/app.yml", Line: 12, EndLine: 12, Column: 8, EndColumn: 48, Introduced: true,
				Commit: "0c11ef0a5be1c0d2f6a94b3e8d7c1a0f9e8d7c6b", At: at("2025-01-02T03:04:05Z"),
			},
		},
	})}
	return run
}

// later is a run of an organisation that was compared with an earlier one.
func later() *audit.Run {
	earlier, run := many(12), many(9)
	earlier.Info.ID = "f00dfeed12345678"
	finding := func(seed uint64, target string) audit.Finding {
		return signed(audit.Finding{
			Rule: "github-pat", Category: audit.CategorySecret, Severity: audit.High, Title: rules()["github-pat"].Title, Fix: []string{},
			Secret:    audit.NewSecret("github-pat", "", value(40, seed)),
			Locations: []audit.Location{{Target: target, Kind: audit.InFile, Path: "deploy/.env", Line: 4, EndLine: 4, InHead: true}},
			Verdict:   &audit.Verdict{Validity: audit.Active, How: "live", CheckedAt: at("2026-11-23T14:02:40Z")},
		})
	}
	run.Findings = append([]audit.Finding{finding(7, run.Coverage[3].Target)}, run.Findings...)
	failed := &run.Coverage[5]
	failed.Status, failed.Reason, failed.Items, failed.Bytes = audit.Failed, "cloning: 403 Forbidden", 0, 0
	earlier.Findings = append(earlier.Findings, finding(8, failed.Target), finding(9, "github:acme/deleted"))
	run.Info.Complete = false
	Compare(run, earlier, "")
	return run
}

func many(n int) *audit.Run {
	run := envelope("github:acme")
	for i := range 30 {
		run.Coverage = append(run.Coverage, audit.Coverage{
			Target: fmt.Sprintf("github:acme/service-%02d", i), Kind: audit.TargetRepository, Status: audit.Scanned, Items: 100, Bytes: 1 << 20,
		})
	}
	for i := range n {
		rule, severity := "generic-api-key", audit.Medium
		if i < n/3 {
			rule, severity = "github-pat", audit.High
		}
		target := run.Coverage[i%30].Target
		run.Findings = append(run.Findings, signed(audit.Finding{
			Rule: rule, Category: audit.CategorySecret, Severity: severity, Title: rules()[rule].Title, Fix: []string{},
			Secret: audit.NewSecret(rule, "", value(40, uint64(i)+100)),
			Locations: []audit.Location{{
				Target: target, Kind: audit.InFile, Path: fmt.Sprintf("src/module%d/config.yaml", i), Line: i%90 + 1, EndLine: i%90 + 1, InHead: true,
			}},
			Verdict: &audit.Verdict{Validity: audit.Unchecked, How: "offline", CheckedAt: at("2026-11-23T14:02:40Z")},
		}))
	}
	return run
}

// evil are strings that somebody who owns what is scanned would try.
func evil() []string {
	return []string{
		"::error file=x::owned", "a\n::set-output name=x::y", "x ##[command]rm", "section_start:1:x\r\x1b[0K", "\x1b[31mred\x1b[0m \x9b2J",
		"\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\", "trojan\u202egnp.exe", "zero\u200bwidth\ufeff", "broken\xff\xfeutf8", "tag\U000e0041",
		"=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", `quote"comma,`, "| pipe | `tick` ``two``", "<script>alert(1)</script>",
		"![img](http://evil.example/x.png)", "[link](javascript:alert(1))", "@everyone #1 GH-2", "<!-- comment", "</details>", "a/../../etc/passwd",
		"file:///etc/passwd", "100%25%0A::error::", strings.Repeat("x", 300), "日本語のとても長いファイル名", "👩‍👩‍👧‍👦 family", "C:\\windows\\x", "a b?c#d&e",
		"one two three ::error::four five six ::warning::seven eight",
	}
}

func hostile() *audit.Run {
	run := envelope("github:acme/evil")
	run.Info.Complete = false
	run.Coverage = []audit.Coverage{{Target: "github:acme/evil", Kind: audit.TargetRepository, Status: audit.Partial, Items: len(evil()), Bytes: 9000, URL: "javascript:alert(1)"}}
	for i, s := range evil() {
		run.Gaps = append(run.Gaps, audit.Gap{Target: "github:acme/evil", What: s, Why: strings.Repeat("why ", i+1) + s})
		run.Findings = append(run.Findings, signed(audit.Finding{
			Rule: "github-pat", Category: audit.CategorySecret, Severity: audit.High, Title: "GitHub personal access token", Message: s, Fix: []string{s},
			Secret: audit.NewSecret("github-pat", "", value(36, uint64(i)+9000)),
			Locations: []audit.Location{
				{Target: "github:acme/evil", Kind: audit.InFile, Path: s, Line: i + 1, Name: s, Ref: s, URL: "https://example.com/" + s, InHead: true},
				{Target: "github:acme/evil", Kind: audit.InVariable, Name: s, URL: s},
			},
			Verdict: &audit.Verdict{
				Validity: audit.Active, How: s, CheckedAt: at("2026-11-23T14:02:40Z"), Error: s, Facts: map[string]string{s: s},
				Identity: &audit.Identity{ARN: s, Account: s, Type: s},
			},
			Reach: &audit.Reach{
				Level: audit.LevelWrite, Accounts: []string{s}, Limits: []string{s},
				Paths: []audit.Path{{Level: audit.LevelWrite, Steps: []audit.Step{{From: s, To: s, Edge: s, Evidence: s}}}},
			},
		}))
		run.Inventory = append(run.Inventory, audit.Entry{Target: "github:acme/evil", Kind: audit.KindSecret, Name: s, Scope: s, Facts: map[string]string{"x": s}})
		run.Silencers = append(run.Silencers, audit.Silencer{Target: "github:acme/evil", What: s, Count: 1})
	}
	run.Calls = map[string]int{"github": 3}
	earlier := envelope("github:acme/evil")
	earlier.Info.ID = evil()[0] + evil()[4]
	for i, s := range evil() {
		for j, target := range []string{"github:acme/evil", s} {
			f := run.Findings[i]
			f.ID = fmt.Sprintf("lr1:%x", 1000*i+j)
			f.Locations = []audit.Location{{Target: target, Kind: audit.InFile, Path: s, Line: i + 1, Name: s, InHead: true}}
			earlier.Findings = append(earlier.Findings, f)
		}
	}
	earlier.Gaps = run.Gaps
	Compare(run, earlier, "")
	return run
}
