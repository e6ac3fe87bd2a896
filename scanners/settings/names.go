package settings

import (
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// words splits a variable's name at what people put between words.
func words(name string) []string {
	return strings.FieldsFunc(strings.ToUpper(name), func(r rune) bool { return r == '_' || r == '-' || r == '.' })
}

// secretName tells whether a name is one that people give to secrets, and not to the public half of one or to where it is kept.
func secretName(name string) bool {
	w := words(name)
	if isAbout(w) || slices.Contains(w, "PUBLIC") || slices.Contains(w, "PUB") {
		return false
	}
	for i, word := range w {
		switch word {
		case "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASS", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS", "CREDS", "APIKEY", "PAT", "KUBECONFIG", "DOCKERCONFIG":
			return true
		case "KEY":
			if i > 0 && slices.Contains([]string{"API", "ACCESS", "PRIVATE", "SSH", "DEPLOY", "ENCRYPTION", "SIGNING", "ACCOUNT", "SECRET", "AUTH", "SA", "GPG", "LICENSE"}, w[i-1]) {
				return true
			}
		}
	}
	return false
}

// isAbout tells whether words say something about a secret, such as where it is kept, and are not what it is called itself.
func isAbout(w []string) bool {
	return len(w) == 0 || slices.Contains([]string{"ID", "URL", "URI", "HOST", "NAME", "USER", "USERNAME", "PATH", "ARN", "VERSION", "ENABLED", "LENGTH", "REGION", "BUCKET"}, w[len(w)-1])
}

// cloudKey is whose long-lived key a name stands for, or "". Public halves, such as AWS_ACCESS_KEY_ID, are none, nor is what a vault calls a secret, such as
// AWS_SECRET_NAME.
func cloudKey(name string) string {
	if isAbout(words(name)) {
		return ""
	}
	joined := "_" + strings.Join(words(name), "_") + "_"
	has := func(all ...string) bool {
		return slices.ContainsFunc(all, func(s string) bool { return strings.Contains(joined, "_"+s+"_") })
	}
	switch {
	case has("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SECRET"):
		return "AWS"
	case has("GOOGLE_CREDENTIALS", "GCP_CREDENTIALS", "GCLOUD_SERVICE_KEY", "GCP_SA_KEY", "GKE_SA_KEY", "GOOGLE_SA_KEY", "GCP_SERVICE_ACCOUNT_KEY", "GOOGLE_SERVICE_ACCOUNT_KEY", "FIREBASE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS"):
		return "Google Cloud"
	case has("AZURE_CREDENTIALS", "AZURE_CLIENT_SECRET", "ARM_CLIENT_SECRET"):
		return "Azure"
	}
	return ""
}

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
	case secretName(e.Name):
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
