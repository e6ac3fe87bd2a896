package secrets

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/scanners/secrets/internal/match"
)

// Some secrets open nothing alone: it takes to know whose they are, which is no secret and stands beside them.

// ruleGCP names private keys beside which the service account stands that they belong to.
const ruleGCP = audit.KindGCPKey

var gcpRule = audit.Rule{
	ID: ruleGCP, Title: "Google Cloud service account key", Category: audit.CategorySecret, Severity: audit.High, CWE: 798,
	Help: "Who holds the key acts as the service account, from anywhere in the world and until the key is deleted: such keys do not expire unless " +
		"an organisation's policy says so.\n\nBefore:\n\n```\n{\"type\": \"service_account\", \"client_email\": \"deploy@acme.iam.gserviceaccount.com\", \"private_key\": \"••••\"}\n```\n\n" +
		"After:\n\n```\npermissions:\n  id-token: write\nsteps:\n  - uses: google-github-actions/auth@<commit>\n    with:\n      workload_identity_provider: projects/…/providers/github\n```\n",
	Fix: []string{
		"Disable the key (gcloud iam service-accounts keys disable), then delete it",
		"Search the project's audit logs for what the service account did since the key was first published",
		"Let the pipeline use workload identity federation instead of holding a key",
		"Remove the value from the file; rewriting history does not undo what has been copied",
	},
}

// ruleAzure is gitleaks' rule for the secrets of applications in Microsoft Entra ID.
const ruleAzure = audit.KindAzureSecret

// ruleGitea names tokens by the forge that stands beside them: they have no form but that of any digest.
const ruleGitea = audit.KindGiteaToken

var giteaRule = audit.Rule{
	ID: ruleGitea, Title: "Gitea or Forgejo access token", Category: audit.CategorySecret, Severity: audit.High, CWE: 798,
	Help: "Who holds the token acts as its owner within its scopes, until it is deleted: such tokens do not expire.\n\n" +
		"Before:\n\n```\ncurl -H \"Authorization: token ••••\" https://gitea.example.com/api/v1/user\n```\n\n" +
		"After:\n\n```\ncurl -H \"Authorization: token $GITEA_TOKEN\" https://gitea.example.com/api/v1/user   # from the pipeline's secret store, with the scopes that it needs\n```\n",
	Fix: []string{
		"Delete the token in its owner's settings (Applications)",
		"Issue a new one with the fewest scopes, keep it in the pipeline's secret store, and hand it over by environment or file at run time",
		"Look through the server's log for use since the value was first published",
		"Remove the value from the file; rewriting history does not undo what has been copied",
	},
}

// besideToken bounds how far from a token on its line the name of its forge is looked for, in bytes.
const besideToken = 80

var forgeNames = lazyregexp.New(`(?i)gitea|forgejo|codeberg`)

// ofGitea tells whether what a rule without a form has found is a token of Gitea's: forty digits of a hash, and the forge's name beside them.
func (t *sheet) ofGitea(text []byte, start, end int, rule string) bool {
	if end-start != 40 || strings.Trim(string(text[start:end]), "0123456789abcdef") != "" || !t.byID[rule].Generic {
		return false
	}
	about := window(text, start, end, besideToken, "\n")
	return strings.HasSuffix(t.item.At.Path, "tea/config.yml") || forgeNames().Match(about[0]) || forgeNames().Match(about[1])
}

// whose returns a match's secret with what stands beside it, and the rule that names it.
func (t *sheet) whose(text []byte, m *match.Match, rule string) (*audit.Secret, string) {
	value := string(text[m.SecretStart:m.SecretEnd])
	if t.ofGitea(text, m.SecretStart, m.SecretEnd, rule) && (t.only == nil || t.only[ruleGitea]) {
		return audit.NewSecret(ruleGitea, "", value), ruleGitea
	}
	if rule != rulePrivateKey && rule != ruleAzure || t.looks == maxLooks {
		return audit.NewSecret(m.Rule.ID, "", value), rule
	}
	t.looks++
	if rule == ruleAzure {
		client, tenant := application(text, m.SecretStart, m.SecretEnd)
		s := audit.NewSecret(rule, client, value)
		if tenant != "" {
			s.SetPart(audit.PartTenant, tenant)
		}
		return s, rule
	}
	account, key := serviceAccount(text, m.SecretStart, m.SecretEnd)
	if account == "" || t.only != nil && !t.only[ruleGCP] {
		return audit.NewSecret(m.Rule.ID, "", value), rule
	}
	s := audit.NewSecret(audit.KindGCPKey, account, value)
	if key != "" {
		s.SetPart(audit.PartKeyID, key)
	}
	return s, ruleGCP
}

// Bounds of what is looked at beside a secret, in bytes, and of how often that is done in one text.
const (
	besideKey    = 2 << 10
	besideSecret = 1 << 10
	maxLooks     = 10_000
)

// accounts are the names of service accounts, see https://cloud.google.com/iam/docs/service-account-types
var accounts = lazyregexp.New(`[a-z0-9][a-z0-9-]{0,62}@(?:[a-z0-9][a-z0-9.-]{0,62}\.iam|appspot|developer)\.gserviceaccount\.com\b`)

var keyIDs = lazyregexp.New(`(?i)private_key_id\W{1,12}([0-9a-f]{40})\b`)

// serviceAccount is whom a private key belongs to, and the key's id if it is told: of a service account's own file, or of settings that were
// made of one. It is nobody where there are two.
func serviceAccount(text []byte, start, end int) (account, key string) {
	about := window(text, start, end, besideKey, "PRIVATE KEY")
	if host := []byte(".gserviceaccount.com"); !bytes.Contains(about[0], host) && !bytes.Contains(about[1], host) {
		return "", "" // the expressions take ten times as long, and most private keys are no account's
	}
	if account = only(named(about, accounts(), 0)); account == "" {
		return "", ""
	}
	return account, only(named(about, keyIDs(), 1))
}

const guid = `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`

// clients and tenants are ids by the names that the Azure command line, SDKs, Terraform and Azure DevOps give them.
var (
	clients = lazyregexp.New(`(?i)(?:(?:client|app|application|serviceprincipal|service_principal)[_-]?id|\s-u|--username)\W{1,24}(` + guid + `)\b`)
	tenants = lazyregexp.New(`(?i)(?:(?:tenant|directory)(?:[_-]?id)?\W{1,24}|login\.microsoftonline\.com/|sts\.windows\.net/)(` + guid + `|[a-z0-9-]{1,63}\.onmicrosoft\.com)\b`)
)

// application is the id of an application that a client secret belongs to, and its tenant: those in the paragraph or object around it, or
// else those near by. Either is "" where there are none or several.
func application(text []byte, start, end int) (client, tenant string) {
	about := window(text, start, end, besideSecret, "Q~")
	around := window(text, start, end, besideSecret, "Q~", "{", "}", "\n\n", "\n\r\n")
	find := func(re *regexp.Regexp) string {
		if ids := named(around, re, 1); len(ids) > 0 {
			return only(ids)
		}
		return only(named(about, re, 1))
	}
	return find(clients()), find(tenants())
}

// window is what stands before and behind a place, up to a number of bytes and to where one of some marks stands.
func window(text []byte, start, end, size int, marks ...string) [2][]byte {
	before, behind := text[max(0, start-size):start], text[end:min(len(text), end+size)]
	for _, mark := range marks {
		if i := bytes.LastIndex(before, []byte(mark)); i >= 0 {
			before = before[i+len(mark):]
		}
		behind, _, _ = bytes.Cut(behind, []byte(mark))
	}
	return [2][]byte{before, behind}
}

// named are the different texts of a group of an expression, in lower case.
func named(in [2][]byte, re *regexp.Regexp, group int) (found []string) {
	for _, text := range in {
		for _, m := range re.FindAllSubmatch(text, -1) {
			found = append(found, strings.ToLower(string(m[group])))
		}
	}
	return sorted(found)
}

// only is the one of a list, or "" if there are none or several.
func only(list []string) string {
	if len(list) != 1 {
		return ""
	}
	return list[0]
}
