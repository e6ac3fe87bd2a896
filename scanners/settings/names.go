package settings

import (
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

// cloudOf is whose key a found secret is, by its kind.
func cloudOf(kind string) string {
	switch kind {
	case audit.KindAWSKey:
		return "AWS"
	case "gcp-service-account":
		return "Google Cloud"
	case "azure-ad-client-secret":
		return "Azure"
	}
	return ""
}

// holdsSecret says why a variable is taken for a secret, or "".
func (p *place) holdsSecret(e *audit.Entry) string {
	switch kind := p.values[e.Name]; {
	case kind != "":
		return "its value is a secret (" + kind + ")"
	case known.SecretName(e.Name):
		return "its name is one of a secret"
	}
	return ""
}

// glob tells whether a name is one that a pattern stands for, in which * is anything.
func glob(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}
