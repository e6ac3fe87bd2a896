package secrets

import (
	"cmp"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/secrets/internal/credfile"
)

// CI variables hold a secret in one and whose it is in others: what they have to do with each other shows in their names, once all are known.

// owner reports what a variable says of somebody to whom a secret in another one may belong: a candidate without a value.
func (p *pass) owner(name string, value []byte) {
	if len(value) > maxOwner {
		return
	}
	text, at := []byte(name+"="+string(value)), [2][]byte{value}
	whole := func(found []string) string {
		if id := only(found); len(id) == len(value) {
			return id
		}
		return ""
	}
	var s *audit.Secret
	rule, words := ruleAzure, wordsOf(name)
	if id := whole(named([2][]byte{text}, clients(), 1)); id != "" {
		s = audit.NewSecret(audit.KindAzureSecret, id, "")
	} else if id := whole(named([2][]byte{text}, tenants(), 1)); id != "" {
		s = audit.NewSecret(audit.KindAzureSecret, "", "")
		s.SetPart(audit.PartTenant, id)
	} else if id := whole(named(at, accounts(), 0)); id != "" {
		rule, s = ruleGCP, audit.NewSecret(audit.KindGCPKey, id, "")
	} else if isOf(registryWords, words) {
		rule = ruleLogin
		switch last := words[len(words)-1]; {
		case slices.Contains(userWords, last) && !strings.ContainsAny(string(value), " $:"):
			s = audit.NewSecret(audit.KindRegistryLogin, string(value), "")
		case slices.Contains(hostWords, last):
			if host := credfile.RegistryOf(string(value)); host != "" {
				s = audit.NewSecret(audit.KindRegistryLogin, "", "")
				s.SetPart(audit.PartHost, host)
			}
		}
	}
	if s != nil {
		if f := p.report(p.byID[rule], audit.Location{Rules: []string{rule}}, s, nil); f != nil {
			f.Candidate = true
		}
	}
}

// maxOwner is more than an id, a user or a host has bytes.
const maxOwner = 256

// ruleLogin is the rule for logins of registries that files have.
const ruleLogin = "docker-registry-auth"

// What names of variables consist of: those of registries, and at their ends who logs in, where, and with what.
var (
	registryWords = []string{"registry", "docker", "dockerhub", "ghcr", "quay", "harbor"}
	userWords     = []string{"user", "username", "login", "account"}
	hostWords     = []string{"registry", "host", "hostname", "server", "url", "address", "domain"}
	passWords     = []string{"password", "passwd", "pass", "pwd", "token", "secret", "key", "pat"}
	// otherWords tell nothing of which of several credentials one is.
	otherWords = strings.Fields("azure arm aad ad entra client clientid clientsecret app appid application applicationid service principal serviceprincipal sp spn tenant tenantid " +
		"directory id value gcp google email sa private credential credentials container hub")
)

func wordsOf(name string) []string {
	return strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}

func isOf(list, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
}

// stem is what a name says beside the words that those of one credential differ in.
func stem(words []string) string {
	known := slices.Concat(registryWords, userWords, hostWords, passWords, otherWords)
	return strings.Join(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return slices.Contains(known, w) }), "_")
}

// publicHosts are the registries that names of variables name.
var publicHosts = map[string]string{"dockerhub": credfile.DockerHub, "ghcr": "ghcr.io", "quay": "quay.io"}

// A holder is where variables are that a name tells apart: a page of settings, of one environment or of all, or all of a target, whose variables they add to.
type holder struct{ kind, target, page, environment, stem string }

// anyPage stands for all of a target's.
const anyPage = "*"

// holders are those by which a variable's secret may be completed, the closest first. What a variable tells, it tells at the first and the last.
func holders(kind string, l audit.Location, stem string) []holder {
	return []holder{{kind, l.Target, "page " + l.URL, l.Environment, stem}, {kind, l.Target, "page " + l.URL, "", stem}, {kind, l.Target, anyPage, "", stem}}
}

// owners are what variables say of whose secrets are, by where they are and by what they tell; "" for what two tell differently.
type owners map[holder]map[string]string

// partID stands for the public half among the names of further parts.
const partID = "id"

func (o owners) add(f *audit.Finding) {
	told := f.Secret.Public()
	if f.Secret.ID != "" {
		told[partID] = f.Secret.ID
	}
	at := holders(f.Secret.Kind, f.Locations[0], stem(wordsOf(f.Locations[0].Name)))
	for _, h := range []holder{at[0], at[len(at)-1]} {
		if o[h] == nil {
			o[h] = map[string]string{}
		}
		for what, value := range told {
			if have, ok := o[h][what]; ok && have != value {
				value = ""
			}
			o[h][what] = value
		}
	}
}

// of is what the closest of several holders tells, or "".
func (o owners) of(what string, in []holder) string {
	for _, h := range in {
		if value, ok := o[h][what]; ok {
			return value
		}
	}
	return ""
}

// adopt gives secrets in variables whose they are, by other variables of the same place, and takes the candidates out that tell it.
func (s *Scanner) adopt(findings []audit.Finding) []audit.Finding {
	told := owners{}
	tells := func(f *audit.Finding) bool {
		return f.Candidate && f.Secret != nil && !f.Secret.HasValue() && len(f.Locations) > 0
	}
	for i := range findings {
		if tells(&findings[i]) {
			told.add(&findings[i])
		}
	}
	if len(told) == 0 {
		return findings
	}
	out := make([]audit.Finding, 0, len(findings))
	for _, f := range findings {
		if tells(&f) {
			continue
		}
		if f.Secret != nil && f.Secret.HasValue() && len(f.Locations) == 1 && f.Locations[0].Kind == audit.InVariable {
			s.give(&f, told)
		}
		out = append(out, f)
	}
	return out
}

// give tells a secret whose it is.
func (s *Scanner) give(f *audit.Finding, told owners) {
	l := f.Locations[0]
	words := wordsOf(l.Name)
	of := func(kind, what string, more ...holder) string {
		return told.of(what, append(holders(kind, l, stem(words)), more...))
	}
	rule := s.byID[f.Rule]
	switch {
	case f.Secret.Kind == audit.KindAzureSecret:
		f.Secret.ID = cmp.Or(f.Secret.ID, of(audit.KindAzureSecret, partID))
		tenant := of(audit.KindAzureSecret, audit.PartTenant, holders(audit.KindAzureSecret, l, "")...) // applications share it
		if tenant != "" && f.Secret.Public()[audit.PartTenant] == "" {
			f.Secret.SetPart(audit.PartTenant, tenant)
		}
	case f.Rule == rulePrivateKey:
		if account := of(audit.KindGCPKey, partID); account != "" && s.byID[ruleGCP] != nil {
			f.Secret.Kind, f.Secret.ID = audit.KindGCPKey, account
			f.Rule, f.Title, f.Severity, f.Message, f.Fix = ruleGCP, gcpRule.Title, gcpRule.Severity, message(&gcpRule, l), gcpRule.Fix
		}
	case f.Secret.Kind == audit.KindRegistryLogin:
		f.Secret.ID = cmp.Or(f.Secret.ID, of(audit.KindRegistryLogin, partID))
	case rule != nil && rule.Generic && isOf(registryWords, words) && slices.Contains(passWords, words[len(words)-1]):
		user, host := of(audit.KindRegistryLogin, partID), of(audit.KindRegistryLogin, audit.PartHost)
		for _, w := range words {
			host = cmp.Or(host, publicHosts[w])
		}
		if user != "" && host != "" {
			f.Secret.Kind, f.Secret.ID = audit.KindRegistryLogin, user
			f.Secret.SetPart(audit.PartHost, host)
		}
	}
}
