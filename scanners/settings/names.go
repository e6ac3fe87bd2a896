package settings

import (
	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

// cloudOf is whose key a found secret is, by its kind.
func cloudOf(kind string) string {
	switch kind {
	case audit.KindAWSKey:
		return "AWS"
	case audit.KindGCPKey:
		return "Google Cloud"
	case audit.KindAzureSecret:
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
