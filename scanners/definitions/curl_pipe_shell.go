package definitions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/pipeline"
)

var curlPipeShell = rule{
	Rule: audit.Rule{
		ID: "curl-pipe-shell", Title: "Remote script is run unchecked", Category: audit.CategoryPipeline, Severity: audit.Low, CWE: 494, Confidence: audit.MediumConfidence,
		Help: help(`
What the server sends at that minute is run with all that the job holds. Whoever takes over the server, its domain or the account behind it runs code in
every pipeline that does this; Codecov's uploader was changed in that way for two months in 2021, and sent away the variables of its users' jobs.`, `
- run: curl -fsSL https://get.example.com/install.sh | sh`, `
- run: |
    curl -fsSLo install.sh https://get.example.com/1.4/install.sh
    echo "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef  install.sh" | sha256sum --check
    sh install.sh`, `
a checksum or a signature is checked in the same script, or the address has a commit in it. Beside a secret it is medium.`),
		Fix: []string{"Check a checksum of what was downloaded before it runs", "Or install the tool from a package manager with a lock file"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		for _, j := range f.jobs {
			j.eachScript(func(name string, script pipeline.Node) {
				if !downloads(script.Text()) || checksIt().MatchString(script.Text()) {
					return
				}
				for l := range commandLines(script.Text()) {
					if !downloads(l.text) {
						continue
					}
					m := runsDownload().FindString(l.text)
					if m == "" || commitAddress().MatchString(l.text) {
						continue
					}
					p := problem{at: script.Place(l.offset), name: name + ", " + firstAddress(l.text), evidence: fmt.Sprintf("%s runs what it downloads: %s", name, strings.TrimSpace(m)), stakes: &audit.Stakes{None: audit.Low, Some: audit.Medium}}
					if len(j.stake.secrets) > 0 || j.stake.oidc {
						p.severity = audit.Medium
					}
					say(p)
				}
			})
		}
	},
}

var (
	// runsDownload is a download that an interpreter reads: through a pipe, a substitution, or a file that is run on the same line.
	runsDownload = lazyregexp.New(`(?i)\b(?:curl|wget|iwr|irm|invoke-webrequest|invoke-restmethod)\b[^\n;]*?https?[^\n]*?\|\s*(?:sudo\s+(?:-\S+\s+)*)?(?:env\s+(?:\S+=\S+\s+)*)?(?:\S*/)?(?:(?:ba|z|da|k)?sh|python[0-9.]*|perl|ruby|node|php|iex|invoke-expression)\b[^\n|]*` +
		`|(?:\b(?:(?:ba|z|da|k)?sh|source|python[0-9.]*|perl|ruby|node)\b|(?:^|[\s;&])\.)[^\n|;]*?<\(\s*(?:curl|wget)\b[^\n)]*` +
		`|\b(?:(?:ba|z|da|k)?sh\s+-\w*c|eval)\s+["']?(?:\$\(|` + "`" + `)\s*(?:curl|wget)\b[^\n)]*` +
		`|\b(?:iex|invoke-expression)\b[^\n]*(?:downloadstring|iwr|irm|invoke-webrequest|invoke-restmethod)[^\n]*` +
		`|\b(?:curl|wget)\b[^\n]*https?://[^\n]*(?:&&|;)[^\n]*\b(?:chmod\s+\S*(?:\+x|7[0-7]{2})\b|(?:ba|z|da)?sh\s+\S+)[^\n]*`)
	checksIt      = lazyregexp.New(`(?i)\b(?:sha(?:1|256|512)sum|shasum|b2sum|get-filehash|gpgv?\s+(?:-\S+\s+)*--verify|gpg\s+--verify|cosign\s+verify|minisign|slsa-verifier|gh\s+attestation\s+verify|openssl\s+dgst)\b`)
	commitAddress = lazyregexp.New(`https?://\S*/[0-9a-f]{40}/`)
	address       = lazyregexp.New(`https?://[^\s"'|)<>]+`)
)

// downloads tells whether a text names a program that runsDownload looks for, as most do not.
func downloads(text string) bool {
	return hasAny(strings.ToLower(text), "curl", "wget", "iwr", "irm", "invoke-", "iex")
}

// hasAny tells whether a text has one of some parts: a look that spares an expression's.
func hasAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

func firstAddress(text string) string { return address().FindString(text) }

// eachScript tells of each script that a job runs, with the name of its step.
func (j *job) eachScript(tell func(name string, script pipeline.Node)) {
	if j.kind != isGitLab {
		for _, s := range j.steps {
			for _, script := range s.scripts() {
				tell(s.label(), script)
			}
		}
		return
	}
	for _, key := range []string{"before_script", "script", "after_script"} {
		n := j.node.Get(key)
		if n.IsText() {
			tell(j.label(), n)
		}
		for _, scalar := range n.Scalars() {
			if n.IsList() {
				tell(j.label(), scalar)
			}
		}
	}
}
