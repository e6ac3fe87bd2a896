package settings

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// A weakness is one of some versions of a program.
type weakness struct {
	of       string // the program
	hosted   bool   // only where it works for the forge's own service
	ranges   []versions
	severity audit.Severity
	what     string // as the end of a sentence: "with …"
	source   string
}

// versions are those from one on to before another.
type versions struct{ from, below string }

// Programs by the names that weaknesses have.
const (
	actionsRunner    = "actions/runner"
	gitlabRunner     = "gitlab-runner"
	enterpriseServer = "GitHub Enterprise Server"
)

// weaknesses are of versions that let strangers or any user at what pipelines hold, or that a forge no longer takes. Ranges are those of the CVE records, as they were on 2026-11-27.
var weaknesses = []weakness{
	{
		of: actionsRunner, hosted: true, ranges: []versions{{"0", "2.329.0"}}, severity: audit.Low, what: "GitHub lets none register that is older than 2.329.0",
		source: "https://github.com/orgs/community/discussions/194762",
	},
	{
		of: actionsRunner, ranges: []versions{{"0", "2.283.4"}, {"2.284.0", "2.285.2"}, {"2.286.0", "2.289.4"}, {"2.290.0", "2.293.1"}, {"2.294.0", "2.296.2"}}, severity: audit.High,
		what: "a value of the environment can change how containers are started (CVE-2022-39321)", source: "https://github.com/actions/runner/security/advisories/GHSA-2c6m-6gqh-6qg3",
	},
	{
		of: gitlabRunner, ranges: []versions{{"1.0.0", "13.1.3"}, {"13.2.0", "13.2.3"}, {"13.3.0", "13.3.1"}}, severity: audit.Medium,
		what: "malformed requests stop it (CVE-2020-13310)", source: "https://nvd.nist.gov/vuln/detail/CVE-2020-13310",
	},
	{
		of: enterpriseServer, ranges: []versions{{"3.11.0", "3.11.16"}, {"3.12.0", "3.12.10"}, {"3.13.0", "3.13.5"}, {"3.14.0", "3.14.2"}}, severity: audit.Critical,
		what: "who can reach it can sign in past SAML where assertions are encrypted (CVE-2024-9487)", source: "https://nvd.nist.gov/vuln/detail/CVE-2024-9487",
	},
	{
		of: enterpriseServer, ranges: []versions{{"3.9.0", "3.9.15"}, {"3.10.0", "3.10.12"}, {"3.11.0", "3.11.10"}, {"3.12.0", "3.12.4"}}, severity: audit.Critical,
		what: "who can reach it can sign in past SAML where assertions are encrypted (CVE-2024-4985)", source: "https://nvd.nist.gov/vuln/detail/CVE-2024-4985",
	},
	{
		of: "GitLab", ranges: []versions{{"16.1", "16.1.6"}, {"16.2", "16.2.9"}, {"16.3", "16.3.7"}, {"16.4", "16.4.5"}, {"16.5", "16.5.6"}, {"16.6", "16.6.4"}, {"16.7", "16.7.2"}},
		severity: audit.Critical, what: "anybody can set the password of an account (CVE-2023-7028, used by attackers)", source: "https://nvd.nist.gov/vuln/detail/CVE-2023-7028",
	},
	{
		of: "GitLab", ranges: []versions{{"8.14", "17.1.7"}, {"17.2", "17.2.5"}, {"17.3", "17.3.2"}}, severity: audit.Critical,
		what: "a user can start a pipeline as somebody else (CVE-2024-6678)", source: "https://nvd.nist.gov/vuln/detail/CVE-2024-6678",
	},
	{
		of: "Gitea", ranges: []versions{{"1.17", "1.27.1"}}, severity: audit.Critical,
		what: "anybody can run commands on it by a hook of git's (CVE-2026-60004)", source: "https://nvd.nist.gov/vuln/detail/CVE-2026-60004",
	},
	{
		of: "Gitea", ranges: []versions{{"1.22", "1.27.1"}}, severity: audit.Critical,
		what: "anybody can read its files, and its own token with them (CVE-2026-59774)", source: "https://github.com/go-gitea/gitea/security/advisories/GHSA-6v53-hr58-556r",
	},
}

var runnerOutdated = rule{
	Rule: audit.Rule{
		ID: "runner-outdated", Title: "Runner is too old", Category: audit.CategoryRunner, Severity: audit.Low, CWE: 1104,
		Help: help(`
What a runner's maker has mended since, jobs can still make use of: they run what others wrote. A runner that its forge no longer takes stops working, mostly on
the day on which somebody has to deploy a fix.`, `
runner build-1   version 2.295.0`, `
runner build-1   version 2.336.0, which updates itself; in images, the newest release with each build`, `
its version is in no range of a published weakness and the forge still takes it, or its version is not told. Which weakness it is decides the severity.`),
		Fix: []string{"Install the current release, and let the runner update itself", "Build images of runners anew with each release"},
	},
	of: audit.KindRunner,
	judge: func(p *place, e *audit.Entry) verdict {
		program := map[string]string{"github": actionsRunner, "gitlab": gitlabRunner}[p.system()]
		host := cmp.Or(p.host(), strings.TrimPrefix(p.settings()["server"], "https://"))
		return outdated(program, e.Facts["version"], host == "github.com" || strings.HasSuffix(host, ".ghe.com"))
	},
}

var forgeOutdated = rule{
	Rule: audit.Rule{
		ID: "forge-outdated", Title: "Forge is too old", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 1104,
		Help: help(`
The forge hands jobs their secrets and decides who may start them. A weakness that its maker has published, and that is not mended, makes all other settings
void.`, `
GitLab 17.3.1`, `
GitLab 17.3.2 or newer, by the release notes of its maker`, `
its version is in no range of a published weakness, or it does not tell its version, which a gap says. Forgejo numbers its versions in another way, and nothing is said of it.
Which weakness it is decides the severity.`),
		Fix: []string{"Update it to the newest patch of a version that is still maintained", "Look through its audit log for what the weakness would have let in"},
	},
	of: audit.KindSettings,
	judge: func(p *place, e *audit.Entry) verdict {
		version := e.Facts["forge_version"]
		if p.top() != p || strings.Contains(version, "+gitea") { // it is said once for all that was asked for; and Forgejo's
			return fine
		}
		return outdated(map[string]string{"github": enterpriseServer, "gitlab": "GitLab", "gitea": "Gitea"}[p.forge], version, false)
	},
}

// system is the forge that a place is of, or that a job runs for.
func (p *place) system() string {
	if p.forge == jobForge {
		return p.settings()["system"]
	}
	return p.forge
}

// outdated says what is wrong with a version of a program, the worst first.
func outdated(program, version string, hosted bool) (v verdict) {
	number, ok := numbers(version)
	if !ok || program == "" {
		return fine
	}
	for _, w := range weaknesses {
		if w.of != program || w.hosted && !hosted || v.evidence != "" && w.severity.Rank() <= v.severity.Rank() {
			continue
		}
		if slices.ContainsFunc(w.ranges, func(r versions) bool {
			from, _ := numbers(r.from)
			below, _ := numbers(r.below)
			return slices.Compare(number, from) >= 0 && slices.Compare(number, below) < 0
		}) {
			v = verdict{evidence: fmt.Sprintf("it is %s %s, and %s; see %s", program, version, w.what, w.source), severity: w.severity}
		}
	}
	return v
}

// numbers are those of a version, without what stands behind them: v18.5.0-ee is 18, 5, 0.
func numbers(version string) (list []int, ok bool) {
	version = strings.TrimPrefix(version, "v")
	if i := strings.IndexFunc(version, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); i >= 0 {
		version = version[:i]
	}
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, false
		}
		list = append(list, n)
	}
	return list, true
}
